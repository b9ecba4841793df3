//! How an app's stream is written: as server-sent events, or as one JSON array whose elements come one by one.

use axum::http::{HeaderValue, header};
use axum::{body::Body, response::Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;

use super::sse;
use crate::{dialect::AppDialect, sequence::Cursor};

/// One app's stream, as far as it has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events.
    Events {
        /// What the app speaks.
        dialect: AppDialect,
        /// Each has its cursor in an `id:` line.
        ids: bool,
    },
    /// Gemini's own form where `alt=sse` was not asked for: `[`, the elements, `]`.
    Array {
        /// The bracket is written.
        begun: bool,
    },
}

impl Form {
    /// Events for an app of this dialect. Google's own SDKs read a stream by its lines, and know none but `data:`.
    pub(super) fn events(dialect: AppDialect, ids: bool) -> Self {
        Self::Events { dialect, ids: ids && dialect != AppDialect::Gemini }
    }

    /// An array.
    pub(super) fn array() -> Self {
        Self::Array { begun: false }
    }

    /// One payload.
    pub(super) fn write(&mut self, out: &mut BytesMut, at: Cursor, name: &[u8], data: &[u8]) {
        match self {
            Self::Events { dialect: AppDialect::Gemini, .. } => {
                // One line in any case: of a payload that was laid out over several, an SDK would read the first.
                let line: Vec<u8> =
                    data.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
                sse::write_event(out, None, b"", &line);
            }
            Self::Events { ids, .. } => sse::write_event(out, ids.then_some(at), name, data),
            Self::Array { begun } => {
                out.put_slice(if *begun { b",\r\n" } else { b"[" });
                *begun = true;
                out.put_slice(data);
            }
        }
    }

    /// What follows the last payload.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        if let Self::Array { begun } = self {
            out.put_slice(if *begun { b"]" } else { b"[]" });
        }
    }

    /// What keeps a silent stream alive, and is ignored by every client of it.
    pub(super) fn keep_alive(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Events { dialect: AppDialect::Anthropic, .. } => {
                b"event: ping\ndata: {\"type\": \"ping\"}\n\n"
            }
            // Google's SDKs know no comments; an empty line ends an event of none, and is space within an array.
            Self::Events { dialect: AppDialect::Gemini, .. } | Self::Array { .. } => b"\r\n",
            Self::Events { .. } => return sse::KEEP_ALIVE,
        })
    }

    /// A response whose body is such a stream.
    pub(super) fn response(
        self,
        chunks: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static,
    ) -> Response {
        let mut response = sse::response(chunks);
        if let Self::Array { .. } = self {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        response
    }
}

/// A body of JSON.
pub(super) fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Epoch;

    fn written(mut form: Form, payloads: &[&str]) -> String {
        let mut out = BytesMut::new();
        for (seq, data) in (1..).zip(payloads) {
            let at = Cursor { epoch: Epoch::from_u32(0x9f3a_6c1e), seq };
            form.write(&mut out, at, b"name", data.as_bytes());
        }
        form.end(&mut out);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn an_array_is_json_however_many_elements_it_has() {
        assert_eq!(written(Form::array(), &[]), "[]");
        assert_eq!(written(Form::array(), &["1"]), "[1]");
        assert_eq!(written(Form::array(), &["1", "{\n}"]), "[1,\r\n{\n}]");
    }

    #[test]
    fn google_gets_lines_of_data_and_nothing_else() {
        let form = Form::events(AppDialect::Gemini, true);
        assert_eq!(written(form, &["{\r\n\"a\": 1}"]), "data: {\"a\": 1}\n\n");
        let form = Form::events(AppDialect::Anthropic, true);
        assert_eq!(written(form, &["{}"]), "id: 9f3a6c1e.1\nevent: name\ndata: {}\n\n");
    }

    #[test]
    fn what_keeps_a_stream_alive_is_of_its_dialect() {
        let alive = |dialect| Form::events(dialect, true).keep_alive();
        assert_eq!(alive(AppDialect::OpenAi), ": keep-alive\n\n");
        assert_eq!(alive(AppDialect::Responses), ": keep-alive\n\n");
        assert!(alive(AppDialect::Anthropic).starts_with(b"event: ping\n"));
        for form in [Form::events(AppDialect::Gemini, true), Form::array()] {
            assert!(form.keep_alive().trim_ascii().is_empty());
        }
    }
}
