//! The methods of the admin service: the right that each needs, and how much it may say.

use crate::server::admin::credentials::Right;
use crate::server::admin::limits::{LARGE_CALL_BYTES_MAX, SMALL_CALL_BYTES_MAX};

/// The methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    ValidatePolicy,
    ReloadPolicy,
    GetPolicyStatus,
    WatchPolicyStatus,
    ListPolicyRevisions,
    GetPolicy,
    RollbackPolicy,
    StageCandidate,
    PromoteCandidate,
    DiscardCandidate,
    /// List of the methods.
    Reflection,
    /// None of them: the answer will be UNIMPLEMENTED.
    Unknown,
}

/// Effect of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// It changes nothing.
    None,
    /// It may change something.
    Change,
}

impl Method {
    /// Those of the service itself.
    pub(crate) const ALL: [Self; 10] = [
        Self::ValidatePolicy,
        Self::ReloadPolicy,
        Self::GetPolicyStatus,
        Self::WatchPolicyStatus,
        Self::ListPolicyRevisions,
        Self::GetPolicy,
        Self::RollbackPolicy,
        Self::StageCandidate,
        Self::PromoteCandidate,
        Self::DiscardCandidate,
    ];

    /// The method that a request's path names.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        if name.starts_with("grpc.reflection.") {
            return Self::Reflection;
        }
        Self::ALL.into_iter().find(|method| method.full_name() == name).unwrap_or(Self::Unknown)
    }

    /// The right that it needs; `None`: to be recognised is enough.
    pub(crate) const fn right(self) -> Option<Right> {
        match self {
            Self::GetPolicyStatus | Self::WatchPolicyStatus | Self::ListPolicyRevisions | Self::GetPolicy => {
                Some(Right::Read)
            }
            Self::ValidatePolicy => Some(Right::Validate),
            Self::ReloadPolicy | Self::StageCandidate | Self::PromoteCandidate | Self::DiscardCandidate => {
                Some(Right::Reload)
            }
            Self::RollbackPolicy => Some(Right::Rollback),
            Self::Reflection | Self::Unknown => None,
        }
    }

    /// Effect of a call of this method.
    pub(crate) const fn effect(self) -> Effect {
        match self {
            Self::ReloadPolicy
            | Self::RollbackPolicy
            | Self::StageCandidate
            | Self::PromoteCandidate
            | Self::DiscardCandidate => Effect::Change,
            Self::ValidatePolicy
            | Self::GetPolicyStatus
            | Self::WatchPolicyStatus
            | Self::ListPolicyRevisions
            | Self::GetPolicy
            | Self::Reflection
            | Self::Unknown => Effect::None,
        }
    }

    /// The largest message that it takes.
    pub(crate) const fn bytes_max(self) -> usize {
        match self {
            Self::ValidatePolicy | Self::StageCandidate => LARGE_CALL_BYTES_MAX,
            Self::ReloadPolicy
            | Self::GetPolicyStatus
            | Self::WatchPolicyStatus
            | Self::ListPolicyRevisions
            | Self::GetPolicy
            | Self::RollbackPolicy
            | Self::PromoteCandidate
            | Self::DiscardCandidate
            | Self::Reflection
            | Self::Unknown => SMALL_CALL_BYTES_MAX,
        }
    }

    /// The full gRPC name, as spans have it.
    pub(crate) const fn full_name(self) -> &'static str {
        match self {
            Self::ValidatePolicy => "requite.v1.PolicyAdminService/ValidatePolicy",
            Self::ReloadPolicy => "requite.v1.PolicyAdminService/ReloadPolicy",
            Self::GetPolicyStatus => "requite.v1.PolicyAdminService/GetPolicyStatus",
            Self::WatchPolicyStatus => "requite.v1.PolicyAdminService/WatchPolicyStatus",
            Self::ListPolicyRevisions => "requite.v1.PolicyAdminService/ListPolicyRevisions",
            Self::GetPolicy => "requite.v1.PolicyAdminService/GetPolicy",
            Self::RollbackPolicy => "requite.v1.PolicyAdminService/RollbackPolicy",
            Self::StageCandidate => "requite.v1.PolicyAdminService/StageCandidate",
            Self::PromoteCandidate => "requite.v1.PolicyAdminService/PromoteCandidate",
            Self::DiscardCandidate => "requite.v1.PolicyAdminService/DiscardCandidate",
            Self::Reflection => "grpc.reflection/ServerReflectionInfo",
            Self::Unknown => "unknown",
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
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}", method.full_name())), method);
            assert!(method.full_name().starts_with(SERVICE_NAME));
        }
        assert_eq!(Method::of("/requite.v1.PolicyAdminService/Nothing"), Method::Unknown);
        assert_eq!(Method::of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Method::Reflection);
    }

    #[test]
    fn what_changes_something_needs_more_than_reading() {
        for method in Method::ALL {
            let only_tells = matches!(method.right(), Some(Right::Read | Right::Validate));
            assert_eq!(method.effect() == Effect::None, only_tells, "{method:?}");
        }
    }
}
