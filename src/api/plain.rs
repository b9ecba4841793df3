//! A path as others may read it. What the gateway routes by is the path as it came; a provider, or a proxy before it, may decode
//! it once more, or take two slashes for one.

use axum::http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::{by_model, llm, problem::Problem};

/// So often an encoded path is decoded; one that is encoded more often is nobody's.
const ROUNDS_MAX: usize = 3;

/// The path as the most lenient reader may take it: decoded, with single slashes. Refused is one that leads out of where it
/// should stay, and one that is read as a route that is counted here and written so that it would not be.
pub(super) fn path(method: &Method, path: &str) -> Result<String, Problem> {
    let no_such = |more: &str| {
        let message = format!("no such route: {method} {}{more}", llm::shortened(path));
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    };
    let plain = decoded(path)
        .ok_or_else(|| no_such("; it is encoded more than once, or no UTF-8 when it is decoded"))?;
    if climbs(&plain) {
        return Err(no_such("; a path that passes to the provider has no segments of dots"));
    }
    if method.is_safe() {
        return Ok(plain);
    }
    let is_counted = llm::is_generation(&plain) || by_model::names_model(&plain);
    match (is_counted, plain == path) {
        (true, false) => Err(no_such(&format!("; write it as {plain}"))),
        // Its other methods are no provider's, and might not be looked at.
        (true, true) if *method != Method::POST => Err(Problem::no_such_method(method, path)),
        _ => Ok(plain),
    }
}

/// `None`: it is encoded too often, or some reader may see what cannot be seen here.
fn decoded(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    for _ in 0..ROUNDS_MAX {
        let decoded = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
        if decoded == text {
            let segments = text.split(['/', '\\']).filter(|segment| !segment.is_empty());
            return Some(segments.flat_map(|segment| ["/", segment]).collect());
        }
        text = decoded;
    }
    None
}

/// Whether a decoded path has segments that some reader takes as "here" or "one up", which would lead out of the provider's
/// base URL, with its key. To some, what stands after a `;` is no part of a segment's name.
fn climbs(plain: &str) -> bool {
    plain.split('/').any(|segment| {
        matches!(segment.split([';', '?', '#']).next().unwrap_or_default(), "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, text: &str) -> Option<u16> {
        path(method, text).err().map(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_route_that_is_counted_is_found_however_it_is_written() {
        for path in [
            "/v1/chat/%63ompletions",
            "/v1/chat/%2563ompletions",
            "/v1//chat/completions",
            "/v1/chat/completions/",
            "/v1/chat%2Fcompletions",
            "/v1/chat\\completions",
            "/v1//messages",
            "/v1beta//models/m:generateContent",
            "/v1/%65mbeddings",
            "/v1/embeddings/",
        ] {
            assert_eq!(refused(&Method::POST, path), Some(404), "{path}");
            assert_eq!(refused(&Method::GET, path), None, "{path}");
        }
        assert_eq!(refused(&Method::DELETE, "/v1/chat/completions"), Some(405));
        for path in ["/v1/embeddings", "/v1/files/a%20b", "/v1/completions", "/v1/batches"] {
            assert_eq!(refused(&Method::POST, path), None, "{path}");
        }
        assert_eq!(refused(&Method::DELETE, "/v1/files/f_1"), None);
    }

    #[test]
    fn dots_are_found_however_they_are_written() {
        for path in [
            "/v1/../x",
            "/v1/a/.",
            "/v1/%2e%2E/x",
            "/v1/.%2e",
            "/v1/a\\..\\x",
            "/v1/files/%252e%252e/x",
            "/v1/files/..;/x",
            "/v1/files/..%3b/x",
            "/v1/files/..%3f/x",
            "/v1/%ff/%2e%2e/x",
            "/v1/%25ff/%2e%2e/x",
        ] {
            assert_eq!(refused(&Method::GET, path), Some(404), "{path}");
        }
        for path in ["/v1/files/a..b", "/v1/files/...", "/v1/models/gpt-4.1", "/v1/.well-known"] {
            assert_eq!(refused(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn what_is_encoded_again_and_again_is_not_read_to_its_end() {
        let deep = format!("/v1/%{}20", "25".repeat(30_000));
        let error = path(&Method::GET, &deep).expect_err("nobody's");
        assert!(error.message.len() < 300, "{} bytes", error.message.len());
    }
}
