//! The bench's load client: opens streams, reads the stamps in them, and insists that every token comes once and in
//! order.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time,
};

use super::{chunked::Chunked, upstream::Shape};

/// A stream that has not ended by then is an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// `t000017@000000123456789`: what the upstream writes into each token.
const STAMP_BYTES: usize = 23;

/// So many streams of one shape, their starts spread over a time.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub(super) count: u32,
    pub(super) spread: Duration,
    pub(super) shape: Shape,
}

/// Where to send the load.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// What the upstream's stamps count from.
    pub(super) begun: Instant,
    pub(super) to: SocketAddr,
}

/// What came back; times in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// From the stamp to the client, one for each token.
    pub(super) latencies: Vec<f64>,
    /// From the request to the first token, one for each stream.
    pub(super) first_tokens: Vec<f64>,
    /// Bytes of all bodies, HTTP framing apart.
    pub(super) bytes: usize,
}

impl Load {
    /// Runs all the streams to their end on this thread; one lost, doubled or late token is an error.
    pub(super) fn run(&self, streams: &Streams) -> Result<Heard, String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
        runtime.block_on(self.all(streams))
    }

    async fn all(&self, streams: &Streams) -> Result<Heard, String> {
        let mut running = JoinSet::new();
        for number in 0..streams.count {
            let after = streams.spread * number / streams.count;
            running.spawn(one(*self, streams.shape, after));
        }
        let mut all = Heard::default();
        while let Some(ended) = running.join_next().await {
            let heard = ended.map_err(|why| why.to_string())??;
            all.latencies.extend(heard.latencies);
            all.first_tokens.extend(heard.first_tokens);
            all.bytes += heard.bytes;
        }
        Ok(all)
    }
}

async fn one(load: Load, shape: Shape, after: Duration) -> Result<Heard, String> {
    time::sleep(after).await;
    let stream = time::timeout(PATIENCE, talk(load, shape)).await;
    stream.map_err(|_| "a stream did not end")?.map_err(|why| format!("a stream broke: {why}"))
}

async fn talk(load: Load, shape: Shape) -> io::Result<Heard> {
    let mut stream = TcpStream::connect(load.to).await?;
    stream.set_nodelay(true)?;
    let asked = Instant::now();
    stream.write_all(request(load.to, shape).as_bytes()).await?;
    let mut reader = Reader { framing: None, pending: Vec::new(), due: 0, done: false };
    let mut heard = Heard::default();
    let mut buffer = vec![0; 64 * 1024];
    while !reader.done {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other(format!("it ended after token {}", reader.due)));
        }
        let now = Instant::now();
        let first = reader.due == 0;
        reader.push(&buffer[..read], |stamp| {
            let at = now.duration_since(load.begun).as_nanos() as f64;
            heard.latencies.push((at - stamp as f64) / 1e6);
        })?;
        if first && reader.due > 0 {
            heard.first_tokens.push(now.duration_since(asked).as_secs_f64() * 1e3);
        }
        heard.bytes += read;
    }
    if reader.due != shape.tokens {
        return Err(io::Error::other(format!("{} tokens came, not {}", reader.due, shape.tokens)));
    }
    Ok(heard)
}

fn request(host: SocketAddr, shape: Shape) -> String {
    let body = format!(
        "{{\"model\":\"bench\",\"stream\":true,\"stream_options\":{{\"include_usage\":true}},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        shape.text()
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Finds the stamps in an answer, however its bytes are cut.
struct Reader {
    /// `None` while the head has not ended.
    framing: Option<Chunked>,
    /// What may be the beginning of a stamp, or of the head's end.
    pending: Vec<u8>,
    /// The number of the next token.
    due: u32,
    done: bool,
}

impl Reader {
    fn push(&mut self, bytes: &[u8], mut token: impl FnMut(u64)) -> io::Result<()> {
        let body = match &mut self.framing {
            Some(framing) => {
                take(framing, bytes, &mut self.pending)?;
                &self.pending
            }
            None => {
                self.pending.extend_from_slice(bytes);
                let Some(end) = find(&self.pending, b"\r\n\r\n") else { return Ok(()) };
                let head = String::from_utf8_lossy(&self.pending[..end]).to_ascii_lowercase();
                if !head.starts_with("http/1.1 200") || !head.contains("transfer-encoding: chunked")
                {
                    return Err(io::Error::other(format!("not a stream: {head}")));
                }
                let rest = self.pending.split_off(end + 4);
                self.pending.clear();
                let framing = self.framing.insert(Chunked::default());
                take(framing, &rest, &mut self.pending)?;
                &self.pending
            }
        };
        let mut from = 0;
        while let Some(at) = find(&body[from..], b"\"t").map(|at| from + at + 1) {
            let Some(stamp) = body.get(at..at + STAMP_BYTES) else { break };
            from = at;
            if let Some((number, nanoseconds)) = parse(stamp) {
                if number != self.due {
                    return Err(io::Error::other(format!("token {number} came, not {}", self.due)));
                }
                self.due += 1;
                token(nanoseconds);
            }
        }
        self.done |= find(&body[from..], b"data: [DONE]").is_some();
        let keep = body.len().saturating_sub(STAMP_BYTES + 1).max(from);
        self.pending.drain(..keep);
        Ok(())
    }
}

fn take(framing: &mut Chunked, bytes: &[u8], body: &mut Vec<u8>) -> io::Result<()> {
    framing
        .push(bytes, body)
        .map_err(|byte| io::Error::other(format!("byte {byte} in a chunk's head")))
}

fn parse(stamp: &[u8]) -> Option<(u32, u64)> {
    let (number, time) = std::str::from_utf8(stamp).ok()?.strip_prefix('t')?.split_once('@')?;
    Some((number.parse().ok()?, time.parse().ok()?))
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn answer(events: &[&str]) -> String {
        let chunks = events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
        format!("{HEAD}{}0\r\n\r\n", chunks.collect::<String>())
    }

    fn hear(answer: &str, cut: usize) -> io::Result<(Vec<u64>, bool)> {
        let mut reader = Reader { framing: None, pending: Vec::new(), due: 0, done: false };
        let mut stamps = Vec::new();
        for part in answer.as_bytes().chunks(cut) {
            reader.push(part, |stamp| stamps.push(stamp))?;
        }
        Ok((stamps, reader.done))
    }

    #[test]
    fn every_stamp_is_found_once_wherever_the_bytes_are_cut() {
        let one = "data: {\"type\":\"chunk\",\"content\":\"t000000@000000000000007 \"}\n\n";
        let two = "data: {\"content\":\"t000001@000000000000009 \"}\n\ndata: [DONE]\n\n";
        let answer = answer(&[&one[..30], &one[30..], two]);
        for cut in 1..answer.len() {
            assert_eq!(
                hear(&answer, cut).expect("it is well formed"),
                (vec![7, 9], true),
                "cut {cut}"
            );
        }
    }

    #[test]
    fn a_doubled_or_missing_token_is_an_error() {
        let one = "data: {\"content\":\"t000000@000000000000007 \"}\n\n";
        let three = "data: {\"content\":\"t000002@000000000000007 \"}\n\n";
        assert!(hear(&answer(&[one, one]), 9).is_err());
        assert!(hear(&answer(&[one, three]), 9).is_err());
    }
}
