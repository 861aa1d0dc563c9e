//! The status codes of gRPC by name: one table for answers, logs, metrics and reports.

/// Status codes of gRPC by their numbers, as the standard writes them.
pub(super) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code as the standard writes it. What is no code of gRPC counts as `UNKNOWN`, as everywhere.
#[must_use]
pub fn code_name(number: i32) -> &'static str {
    usize::try_from(number).ok().and_then(|number| CODES.get(number)).copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_grpc() {
        let names = [0, 3, 16, 17, -1, i32::MIN].map(code_name);
        assert_eq!(names, ["OK", "INVALID_ARGUMENT", "UNAUTHENTICATED", "UNKNOWN", "UNKNOWN", "UNKNOWN"]);
    }
}
