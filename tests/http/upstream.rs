//! A provider that the test plays itself, byte by byte, over a raw TCP socket.
//!
//! It is not scripted ahead: the test takes a call, says something, looks at what the gateway made of it, and goes on.
//! So every pause and every cut is where the test wants it, and nothing waits on a clock.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::soon;

/// Listens where a gateway's config says that the provider is.
pub(crate) struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        Self { listener }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket has an address")
    }

    /// The next call, its body read to the end.
    pub(crate) async fn call(&self) -> Call {
        let mut call = self.head().await;
        call.read_body().await;
        call
    }

    /// The next call, of whose body nothing was read yet but what came along with the head.
    pub(crate) async fn head(&self) -> Call {
        let (stream, _) = soon("the gateway calls", self.listener.accept()).await.expect("accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut call = Call { stream, head: String::new(), body: Vec::new() };
        call.read_head().await;
        call
    }

    /// Whether nobody has called.
    pub(crate) async fn is_idle(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.listener.accept()).await.is_err()
    }
}

/// A request that the gateway made, and the connection to answer it on.
pub(crate) struct Call {
    stream: TcpStream,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Call {
    async fn read_head(&mut self) {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(self.read_into(&mut bytes).await > 0, "the gateway closed within a head");
        };
        self.body = bytes.split_off(end + 4);
        self.head = String::from_utf8(bytes).expect("a head is text");
    }

    /// The next call on the same connection.
    pub(crate) async fn again(mut self) -> Self {
        self.read_head().await;
        self.read_body().await;
        self
    }

    async fn read_into(&mut self, bytes: &mut Vec<u8>) -> usize {
        let read = soon("the gateway sends", self.stream.read_buf(bytes)).await;
        read.expect("the gateway's connection is there")
    }

    /// Reads until the body holds `len` bytes as they are on the wire.
    pub(crate) async fn read_until(&mut self, len: usize) {
        while self.body.len() < len {
            let mut body = std::mem::take(&mut self.body);
            assert!(self.read_into(&mut body).await > 0, "the gateway closed within a body");
            self.body = body;
        }
    }

    async fn read_body(&mut self) {
        if let Some(length) = self.header("content-length") {
            self.read_until(length.parse().expect("a length")).await;
        } else if self.header("transfer-encoding").is_some() {
            while !self.body.ends_with(b"0\r\n\r\n") {
                self.read_until(self.body.len() + 1).await;
            }
            self.body = unchunked(&self.body);
        }
    }

    /// The request line: `POST /v1/chat/completions HTTP/1.1`.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let written = soon("the gateway reads", self.stream.write_all(bytes.as_ref())).await;
        written.expect("the gateway's connection is there");
    }

    /// Writes bytes unless the gateway has gone.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon("the gateway reads", self.stream.write_all(bytes.as_ref())).await
    }

    /// Answers with a stream, of which nothing is said yet. More headers: `"name: value\r\n"` each.
    pub(crate) async fn begin_with(&mut self, headers: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
             {headers}connection: close\r\n\r\n"
        );
        self.write(head).await;
    }

    pub(crate) async fn begin(&mut self) {
        self.begin_with("").await;
    }

    /// One HTTP chunk of the stream, in one write.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_say(bytes).await.expect("the gateway's connection is there");
    }

    /// One HTTP chunk of the stream, unless the gateway has gone.
    pub(crate) async fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.try_write(chunk).await
    }

    /// The stream ends as HTTP has it, unless the gateway has gone.
    pub(crate) async fn try_end(mut self) {
        let _ = self.try_write("0\r\n\r\n").await;
        self.close().await;
    }

    /// An event of the stream.
    pub(crate) async fn event(&mut self, data: impl AsRef<str>) {
        self.say(format!("data: {}\n\n", data.as_ref())).await;
    }

    /// A text delta.
    pub(crate) async fn text_delta(&mut self, text: &str) {
        self.event(delta(text)).await;
    }

    /// The reason of the end, the usage, the terminator; and the stream is over.
    pub(crate) async fn finish(mut self) {
        self.event(finish()).await;
        self.event(usage()).await;
        self.event("[DONE]").await;
        self.end().await;
    }

    /// The stream ends as HTTP has it.
    pub(crate) async fn end(mut self) {
        self.write("0\r\n\r\n").await;
        self.close().await;
    }

    /// The connection closes (FIN) in the middle of the response.
    pub(crate) async fn close(mut self) {
        // The gateway may have gone first.
        let _ = self.stream.shutdown().await;
    }

    /// The connection is reset (RST) in the middle of the response.
    pub(crate) fn reset(self) {
        let stream = self.stream.into_std().expect("a socket");
        let stream = TcpSocket::from_std_stream(stream);
        stream.set_zero_linger().expect("SO_LINGER");
    }

    /// A whole answer.
    pub(crate) async fn answer(mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        self.write(head + body).await;
        self.close().await;
    }

    /// Waits until the gateway has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut rest = Vec::new();
        // A reset is a way to close, too.
        let _ = soon("the gateway closes", self.stream.read_to_end(&mut rest)).await;
    }
}

/// A chunk with a text delta, with fields that nobody knows.
pub(crate) fn delta(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"up-model","x_unknown":{{"a": 1.10}},"choices":[{{"index":0,"delta":{{"content":{text}}},"logprobs":null,"finish_reason":null}}]}}"#
    )
}

pub(crate) fn role() -> String {
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#.to_owned()
}

pub(crate) fn finish() -> String {
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned()
}

pub(crate) fn usage() -> String {
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#.to_owned()
}

fn unchunked(mut wire: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = wire.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&wire[..line]).expect("digits");
        let length = usize::from_str_radix(length, 16).expect("hexadecimal");
        wire = &wire[line + 2..];
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&wire[..length]);
        wire = &wire[length + 2..];
    }
}
