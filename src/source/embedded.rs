//! The default bundle, part of the program: what runs where no policy directory is named.

use std::future::ready;

use crate::policy::bundle::{Bundle, BundleError, BundleFile};
use crate::source::{Source, SourceError, Watching};

/// The files of `policies/standard`, as they were when the program was built.
const FILES: [(&str, &str); 3] = [
    ("standard.policy.yaml", include_str!("../../policies/standard/standard.policy.yaml")),
    ("standard.cases.yaml", include_str!("../../policies/standard/standard.cases.yaml")),
    ("calendars/cn.yaml", include_str!("../../policies/standard/calendars/cn.yaml")),
];

/// The program itself as a source. Never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Embedded;

impl Source for Embedded {
    fn read(&self) -> Result<Bundle, SourceError> {
        Ok(read()?)
    }

    fn watch(&self, _changed: Box<dyn FnMut() + Send>) -> Watching {
        Box::pin(ready(()))
    }

    fn location(&self) -> String {
        "embedded".to_owned()
    }
}

/// The default bundle.
pub fn read() -> Result<Bundle, BundleError> {
    Bundle::new(FILES.map(|(path, text)| BundleFile { path: path.to_owned(), bytes: text.into() }).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bundle_is_within_the_limits() {
        let bundle = read().unwrap();
        assert_eq!(bundle.files().len(), FILES.len());
    }
}
