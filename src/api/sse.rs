//! Server-sent events going out: how one is written, the headers that keep proxies from holding them back, and the
//! keep-alive while there is nothing to say.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;

use crate::sequence::Cursor;

/// nginx and others hold a response back unless told not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A comment: keeps the connection alive through proxies, and is ignored by every client of this format.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One event. `data` may have several lines.
pub(super) fn write_event(out: &mut BytesMut, id: Option<Cursor>, name: &[u8], data: &[u8]) {
    use std::fmt::Write as _;
    if let Some(cursor) = id {
        writeln!(out, "id: {cursor}").expect("a BytesMut grows as needed");
    }
    if !name.is_empty() {
        out.put_slice(b"event: ");
        out.put_slice(name);
        out.put_u8(b'\n');
    }
    let mut rest = data;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        out.put_slice(b"data: ");
        out.put_slice(&rest[..=end]);
        rest = &rest[end + 1..];
    }
    out.put_slice(b"data: ");
    out.put_slice(rest);
    out.put_slice(b"\n\n");
}

/// A response whose body is a stream of events.
pub(super) fn response(
    events: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static,
) -> Response {
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// How often to say that we are still here.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepAlive(pub(super) Duration);

impl KeepAlive {
    /// Waits for `news`, for as long as the connection may be silent.
    pub(super) async fn wait(self, news: impl Future<Output = ()>) -> Waited {
        match tokio::time::timeout(self.0, news).await {
            Ok(()) => Waited::News,
            Err(_) => Waited::Silence,
        }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    News,
    Silence,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Epoch;

    #[test]
    fn an_event_has_its_cursor_and_a_data_line_for_each_line() {
        let mut out = BytesMut::new();
        let cursor = Cursor { epoch: Epoch::from_u32(0x9f3a_6c1e), seq: 17 };
        write_event(&mut out, Some(cursor), b"text", b"a\nb");
        assert_eq!(&out[..], b"id: 9f3a6c1e.17\nevent: text\ndata: a\ndata: b\n\n");
    }
}
