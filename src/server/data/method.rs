//! The methods of `RefundPolicyService`: their names, the largest message each takes, and the label that counts its calls.

use crate::api::limits::{EVALUATION_MESSAGE_BYTES_MAX, INFO_MESSAGE_BYTES_MAX, MATERIAL_MESSAGE_BYTES_MAX};
use crate::telemetry::requests::RequestMethod;

/// A method of `RefundPolicyService`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    EvaluateRefund,
    BatchEvaluateRefund,
    ValidateEvidence,
    GetServerInfo,
    /// None of them: the answer will be UNIMPLEMENTED.
    Unknown,
}

impl Method {
    /// Those of the service itself.
    pub(crate) const ALL: [Self; 4] =
        [Self::EvaluateRefund, Self::BatchEvaluateRefund, Self::ValidateEvidence, Self::GetServerInfo];

    /// The method that a request's path names.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        Self::ALL.into_iter().find(|method| method.full_name() == name).unwrap_or(Self::Unknown)
    }

    /// The largest message that it takes.
    pub(crate) const fn message_bytes_max(self) -> usize {
        match self {
            Self::BatchEvaluateRefund | Self::ValidateEvidence => MATERIAL_MESSAGE_BYTES_MAX,
            Self::EvaluateRefund => EVALUATION_MESSAGE_BYTES_MAX,
            Self::GetServerInfo | Self::Unknown => INFO_MESSAGE_BYTES_MAX,
        }
    }

    /// The method as calls are counted.
    pub(crate) const fn counted(self) -> RequestMethod {
        match self {
            Self::EvaluateRefund => RequestMethod::EvaluateRefund,
            Self::BatchEvaluateRefund => RequestMethod::BatchEvaluateRefund,
            Self::ValidateEvidence => RequestMethod::ValidateEvidence,
            Self::GetServerInfo => RequestMethod::GetServerInfo,
            Self::Unknown => RequestMethod::UnknownDataMethod,
        }
    }

    /// The full gRPC name, as spans and metrics have it.
    pub(crate) const fn full_name(self) -> &'static str {
        match self {
            Self::EvaluateRefund => "requite.v1.RefundPolicyService/EvaluateRefund",
            Self::BatchEvaluateRefund => "requite.v1.RefundPolicyService/BatchEvaluateRefund",
            Self::ValidateEvidence => "requite.v1.RefundPolicyService/ValidateEvidence",
            Self::GetServerInfo => "requite.v1.RefundPolicyService/GetServerInfo",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pb::refund_policy_service_server::SERVICE_NAME;

    #[test]
    fn methods_are_known_by_their_paths() {
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}", method.full_name())), method);
            assert!(method.full_name().starts_with(SERVICE_NAME));
        }
        assert_eq!(Method::of("/requite.v1.RefundPolicyService/Nothing"), Method::Unknown);
    }
}
