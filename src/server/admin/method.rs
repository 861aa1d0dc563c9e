//! The methods of the admin service: the right that each needs, and how much it may say.

use crate::server::admin::credentials::Right;
use crate::server::admin::limits::{LARGE_CALL_BYTES_MAX, SMALL_CALL_BYTES_MAX};

/// Declares the methods: each once, with its name, the right that it needs, its effect, and what is large of it.
macro_rules! methods {
    ($($method:ident: $right:ident, $effect:ident, $large:ident;)+) => {
        /// The methods.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Method {
            $($method,)+
            /// List of the methods.
            Reflection,
            /// None of them: the answer will be UNIMPLEMENTED.
            Unknown,
        }

        impl Method {
            /// Those of the service itself.
            pub(crate) const ALL: &[Self] = &[$(Self::$method),+];

            /// The right that it needs; `None`: to be recognised is enough.
            pub(crate) const fn right(self) -> Option<Right> {
                match self {
                    $(Self::$method => Some(Right::$right),)+
                    Self::Reflection | Self::Unknown => None,
                }
            }

            /// Effect of a call of this method.
            pub(crate) const fn effect(self) -> Effect {
                match self {
                    $(Self::$method => Effect::$effect,)+
                    Self::Reflection | Self::Unknown => Effect::None,
                }
            }

            /// The messages of this method that may be large.
            pub(crate) const fn large(self) -> Large {
                match self {
                    $(Self::$method => Large::$large,)+
                    Self::Reflection | Self::Unknown => Large::Neither,
                }
            }

            /// The full gRPC name, as spans have it.
            pub(crate) const fn full_name(self) -> &'static str {
                match self {
                    $(Self::$method => concat!("requite.v1.PolicyAdminService/", stringify!($method)),)+
                    Self::Reflection => "grpc.reflection/ServerReflectionInfo",
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

methods! {
    ValidatePolicy: Validate, None, Request;
    ReloadPolicy: Reload, Change, Neither;
    GetPolicyStatus: Read, None, Neither;
    WatchPolicyStatus: Read, None, Neither;
    ListPolicyRevisions: Read, None, Neither;
    GetPolicy: Read, None, Answer;
    RollbackPolicy: Rollback, Change, Neither;
    StageCandidate: Reload, Change, Request;
    PromoteCandidate: Reload, Change, Neither;
    DiscardCandidate: Reload, Change, Neither;
}

/// Effect of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// It changes nothing.
    None,
    /// It may change something.
    Change,
}

/// The messages of a method that may be as large as a bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Large {
    /// Neither request nor answer.
    Neither,
    /// The request.
    Request,
    /// The answer.
    Answer,
}

impl Method {
    /// The method that a request's path names.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        if name.starts_with("grpc.reflection.") {
            return Self::Reflection;
        }
        Self::ALL.iter().copied().find(|method| method.full_name() == name).unwrap_or(Self::Unknown)
    }

    /// The largest message that it takes, in bytes.
    pub(crate) const fn bytes_max(self) -> usize {
        match self.large() {
            Large::Request => LARGE_CALL_BYTES_MAX,
            Large::Neither | Large::Answer => SMALL_CALL_BYTES_MAX,
        }
    }

    /// The name without the service, as audit records and metrics have it.
    pub(crate) fn name(self) -> &'static str {
        self.full_name().rsplit('/').next().unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pb::policy_admin_service_server::SERVICE_NAME;

    #[test]
    fn methods_are_known_by_their_paths() {
        for &method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}", method.full_name())), method);
            assert!(method.full_name().starts_with(SERVICE_NAME));
        }
        assert_eq!(Method::of("/requite.v1.PolicyAdminService/Nothing"), Method::Unknown);
        assert_eq!(Method::of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Method::Reflection);
    }

    #[test]
    fn what_changes_something_needs_more_than_reading() {
        for &method in Method::ALL {
            let only_tells = matches!(method.right(), Some(Right::Read | Right::Validate));
            assert_eq!(method.effect() == Effect::None, only_tells, "{method:?}");
        }
    }
}
