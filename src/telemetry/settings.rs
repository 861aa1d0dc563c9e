//! Settings of the export of traces and metrics, from the standard `OTEL_*` variables.
//!
//! Off unless asked for. Only the switch and the endpoint of each signal are read here; sampling, resource, headers,
//! timeouts and batching follow their standard variables inside the SDK.

/// Endpoints of the collector, by signal; `None`: not exported.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Export {
    /// Endpoint of the collector for traces.
    pub traces: Option<String>,
    /// Endpoint of the collector for metrics.
    pub metrics: Option<String>,
}

/// A variable that asks for something this program cannot do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// Another protocol than gRPC.
    #[error(
        "{variable} is `{value}`, but only `grpc` is supported (point it at the collector's gRPC port, usually 4317)"
    )]
    Protocol {
        /// The variable that says so.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// Another exporter than OTLP.
    #[error("{variable} is `{value}`, but only `otlp` and `none` are supported")]
    Exporter {
        /// The variable that says so.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// An endpoint that is not `http://HOST:PORT`.
    #[error("{variable} is `{value}`, expected `http://HOST:PORT` (for TLS, run a collector beside this process)")]
    Endpoint {
        /// The variable that says so.
        variable: &'static str,
        /// Its value.
        value: String,
    },
}

/// The variables of one signal.
struct Signal {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    insecure: &'static str,
}

const TRACES: Signal = Signal {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    insecure: "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
};

const METRICS: Signal = Signal {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    insecure: "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";

/// The default endpoint of an exporter that is asked for without one, by the OTLP specification.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

impl Export {
    /// Reads the settings from these variables.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        // By the specification, an empty variable is one that is not set.
        let variable =
            |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        Ok(Self { traces: TRACES.endpoint(&variable)?, metrics: METRICS.endpoint(&variable)? })
    }
}

impl Signal {
    fn endpoint(&self, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, SettingsError> {
        let named = [self.endpoint, ENDPOINT].into_iter().find_map(|name| Some((name, variable(name)?)));
        let (name, value) = match (variable(self.exporter).as_deref(), named) {
            (Some("none"), _) | (None, None) => return Ok(None),
            (Some("otlp") | None, Some(named)) => named,
            (Some("otlp"), None) => (ENDPOINT, DEFAULT_ENDPOINT.to_owned()),
            (Some(other), _) => {
                return Err(SettingsError::Exporter { variable: self.exporter, value: other.to_owned() });
            }
        };
        if let Some((variable, value)) =
            [self.protocol, PROTOCOL].into_iter().find_map(|name| Some((name, variable(name)?)))
            && value != "grpc"
        {
            return Err(SettingsError::Protocol { variable, value });
        }
        let insecure = [self.insecure, INSECURE].into_iter().find_map(variable);
        endpoint(name, value, insecure.is_some_and(|value| value.eq_ignore_ascii_case("true")).into()).map(Some)
    }
}

/// The meaning of an endpoint without a scheme.
enum Bare {
    Plaintext,
    Refused,
}

impl From<bool> for Bare {
    fn from(insecure: bool) -> Self {
        if insecure { Self::Plaintext } else { Self::Refused }
    }
}

fn endpoint(variable: &'static str, value: String, bare: Bare) -> Result<String, SettingsError> {
    let url = match bare {
        Bare::Plaintext if !value.contains("://") => format!("http://{value}"),
        Bare::Plaintext | Bare::Refused => value.clone(),
    };
    let parsed = url.parse::<http::Uri>().ok();
    match parsed.as_ref().and_then(|uri| uri.scheme_str()) {
        Some("http") => Ok(url),
        Some(_) | None => Err(SettingsError::Endpoint { variable, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(variables: &[(&str, &str)]) -> Result<Export, SettingsError> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Export::from_variables(find)
    }

    fn to(traces: Option<&str>, metrics: Option<&str>) -> Result<Export, SettingsError> {
        Ok(Export { traces: traces.map(Into::into), metrics: metrics.map(Into::into) })
    }

    const C: &str = "http://collector:4317";

    #[test]
    fn nothing_is_exported_unless_asked_for() {
        assert_eq!(export(&[]), to(None, None));
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), to(None, None));
        assert_eq!(export(&[("OTEL_SERVICE_NAME", "refunds")]), to(None, None));
    }

    #[test]
    fn an_endpoint_asks_for_its_signal() {
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", C)]), to(Some(C), Some(C)));
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", C)]), to(Some(C), None));
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", C)]), to(None, Some(C)));
        assert_eq!(export(&[("OTEL_TRACES_EXPORTER", "otlp")]), to(Some(DEFAULT_ENDPOINT), None));
    }

    #[test]
    fn disabled_and_none_win_over_an_endpoint() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", C);
        assert_eq!(export(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), to(None, None));
        assert_eq!(export(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), to(None, Some(C)));
        assert_eq!(export(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]), to(Some(C), None));
    }

    #[test]
    fn only_grpc_is_supported_and_the_variable_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", C);
        assert_eq!(export(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), to(Some(C), Some(C)));
        let http = export(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).unwrap_err();
        assert!(
            http.to_string().starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is `http/protobuf`, but only `grpc`"),
            "{http}"
        );
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), to(None, None));
    }

    #[test]
    fn an_endpoint_is_plaintext_and_says_so() {
        export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317")]).unwrap_err();
        export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]).unwrap_err();
        let insecure = [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
        assert_eq!(export(&insecure), to(Some(C), Some(C)));
    }
}
