//! The provider that the bench measures against: OpenAI chunks over raw HTTP/1.1, each stamped with its number and the
//! nanoseconds since the bench began.
//!
//! One thread. The request's text says what shape of stream it wants, so it comes through any gateway unharmed.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    time,
};

/// What stands before and after a stamp in a chunk, as OpenAI writes it with padding on.
const HEAD: &str = "data: {\"id\":\"chatcmpl-BenchBenchBenchBenchBenchBenc\",\"object\":\"chat.completion.chunk\",\
    \"created\":1763800000,\"model\":\"bench\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0ba0d124f1\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
const TAIL: &str =
    "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"a1B2c3\"}\n\n";
const END: &str = "data: {\"id\":\"chatcmpl-BenchBenchBenchBenchBenchBenc\",\"object\":\"chat.completion.chunk\",\
    \"created\":1763800000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"id\":\"chatcmpl-BenchBenchBenchBenchBenchBenc\",\"object\":\"chat.completion.chunk\",\
    \"created\":1763800000,\"model\":\"bench\",\"choices\":[],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}\n\n\
    data: [DONE]\n\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// What a stream looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// How many tokens it has.
    pub(super) tokens: u32,
    /// How long after one batch the next is due.
    pub(super) interval: Duration,
    /// How many events are written at once.
    pub(super) batch: u32,
    /// Tokens of four letters, without a stamp.
    pub(super) plain: bool,
}

impl Shape {
    /// As the request's text says it.
    pub(super) fn text(&self) -> String {
        format!(
            "tokens={} interval_us={} batch={} plain={};",
            self.tokens,
            self.interval.as_micros(),
            self.batch,
            self.plain
        )
    }

    fn read(request: &str) -> Option<Self> {
        let (_, text) = request.split_once("tokens=")?;
        let (text, _) = text.split_once(';')?;
        let (tokens, text) = text.split_once(" interval_us=")?;
        let (interval, text) = text.split_once(" batch=")?;
        let (batch, plain) = text.split_once(" plain=")?;
        Some(Self {
            tokens: tokens.parse().ok()?,
            interval: Duration::from_micros(interval.parse().ok()?),
            batch: batch.parse().ok()?,
            plain: plain.parse().ok()?,
        })
    }
}

/// The running provider; it runs until the program ends.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
}

impl Upstream {
    /// Starts it on a thread of its own. Its stamps count from `begun`.
    pub(super) fn start(begun: Instant) -> Result<Self, String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|why| format!("the upstream cannot listen: {why}"))?;
        let address = listener.local_addr().map_err(|why| why.to_string())?;
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
        thread::spawn(move || {
            runtime.block_on(async {
                let listener =
                    TcpListener::from_std(listener).expect("it is bound and non-blocking");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, begun));
                }
            });
        });
        Ok(Self { address })
    }
}

/// Answers one request after another, until the peer goes.
async fn serve(mut stream: TcpStream, begun: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while let Some(request) = request(&mut stream, &mut buffer).await? {
        let Some(shape) = Shape::read(&request) else {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        stream.write_all(ANSWER.as_bytes()).await?;
        play(&mut stream, shape, begun).await?;
    }
    Ok(())
}

/// The next request, head and body; `None` where the peer has gone.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Arc<str>>> {
    loop {
        let text = String::from_utf8_lossy(buffer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = length(head).unwrap_or(0);
            if body.len() >= length {
                let request = text.as_ref().into();
                buffer.clear();
                return Ok(Some(request));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn length(head: &str) -> Option<usize> {
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(value)
}

async fn play(stream: &mut TcpStream, shape: Shape, begun: Instant) -> io::Result<()> {
    let started = time::Instant::now();
    let mut events = Vec::new();
    let mut wire = Vec::new();
    let mut token = 0;
    while token < shape.tokens {
        // A timer that is already due still costs up to a millisecond: the first token does not ask for one.
        if token > 0 && !shape.interval.is_zero() {
            time::sleep_until(started + shape.interval * (token / shape.batch)).await;
        }
        events.clear();
        for number in token..(token + shape.batch).min(shape.tokens) {
            events.extend_from_slice(HEAD.as_bytes());
            match shape.plain {
                true => events.extend_from_slice(b" ten"),
                false => write!(events, "t{number:06}@{:015} ", begun.elapsed().as_nanos())?,
            }
            events.extend_from_slice(TAIL.as_bytes());
        }
        token += shape.batch;
        chunk(&events, &mut wire);
        stream.write_all(&wire).await?;
    }
    chunk(END.as_bytes(), &mut wire);
    wire.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&wire).await
}

fn chunk(body: &[u8], wire: &mut Vec<u8>) {
    wire.clear();
    wire.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
    wire.extend_from_slice(body);
    wire.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_survives_its_way_through_a_request() {
        let shape =
            Shape { tokens: 7, interval: Duration::from_micros(250), batch: 3, plain: true };
        let request = format!("POST / HTTP/1.1\r\n\r\n{{\"content\":\"{}\"}}", shape.text());
        assert_eq!(Shape::read(&request), Some(shape));
    }

    #[test]
    fn the_length_is_found_in_any_spelling() {
        assert_eq!(length("POST / HTTP/1.1\r\nContent-LENGTH: 12\r\nhost: x"), Some(12));
        assert_eq!(length("POST / HTTP/1.1\r\nhost: x"), None);
    }
}
