//! Paths of the parts of a request.
//!
//! A path is a chain on the stack: a request without mistakes never builds a text for one.

use std::fmt;

/// A place in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'p> {
    /// The request itself.
    Root,
    /// A field of a message.
    Field(&'p Path<'p>, &'p str),
    /// An item of a list.
    Item(&'p Path<'p>, usize),
    /// An entry of a map.
    Key(&'p Path<'p>, &'p str),
}

impl<'p> Path<'p> {
    /// A field of the message at this place.
    pub(crate) const fn field(&'p self, name: &'p str) -> Self {
        Path::Field(self, name)
    }

    /// An item of the list at this place.
    pub(crate) const fn item(&'p self, place: usize) -> Self {
        Path::Item(self, place)
    }

    /// An entry of the map at this place.
    pub(crate) const fn key(&'p self, key: &'p str) -> Self {
        Path::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, place) => write!(f, "{parent}[{place}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key:?}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_request() {
        let order = Path::Root.field("order");
        let lines = order.field("lines");
        let line = lines.item(3);
        let inputs = line.field("inputs");
        assert_eq!(inputs.key("grade").to_string(), "order.lines[3].inputs[\"grade\"]");
    }
}
