//! The test for a gRPC request before its body is read: its method and its content type.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

/// The answer to a request that is not gRPC, as its protocol has it: a status of HTTP, and no more.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Response<()>> {
    let (status, allow) = if request.method() != Method::POST {
        (StatusCode::METHOD_NOT_ALLOWED, Some(HeaderValue::from_static("POST")))
    } else if !is_grpc(request.headers()) {
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, None)
    } else {
        return None;
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    Some(response)
}

/// Returns true for gRPC messages in the supported encoding. Text after a semicolon is ignored.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return false };
    let essence = content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    essence.eq_ignore_ascii_case(b"application/grpc") || essence.eq_ignore_ascii_case(b"application/grpc+proto")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_posts_of_grpc_are_taken() {
        let status = |method: &str, content_type: Option<&str>| {
            let mut request = Request::builder().method(method);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            refusal(&request.body(()).unwrap()).map(|response| response.status().as_u16())
        };
        for taken in ["application/grpc", "application/grpc+proto", "application/grpc;x=y", "Application/gRPC ; x"] {
            assert_eq!(status("POST", Some(taken)), None, "{taken}");
        }
        for refused in ["", "text/plain", "application/json", "application/grpc+json", "application/grpc-web"] {
            assert_eq!(status("POST", Some(refused)), Some(415), "{refused}");
        }
        assert_eq!(status("POST", None), Some(415));
        assert_eq!(status("GET", Some("application/grpc")), Some(405));
        assert_eq!(status("PUT", None), Some(405));
    }
}
