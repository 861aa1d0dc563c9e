//! Open files: the process takes as many as it may have. Each connection is one.

/// Raises the soft limit on open files to the hard one. Where that cannot be done, the connections that
/// are taken are fewer.
#[cfg(unix)]
pub(super) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, "the limit on open files stays as it is");
    }
}

#[cfg(not(unix))]
pub(super) const fn raise_limit() {}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn as_many_files_are_open_as_may_be() {
        super::raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
