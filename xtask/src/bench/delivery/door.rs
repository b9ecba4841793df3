//! Where a gateway's viewers go in, and its app's door for starting what they watch.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use tokenway::transport::webtransport::{Hash, Trust};

use super::super::upstream::Shape;

/// A gateway's doors.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) http: SocketAddr,
    /// For WebTransport.
    pub(super) url: String,
    pub(super) trust: Trust,
}

impl Door {
    /// Asks the gateway.
    pub(super) fn find(http: SocketAddr) -> Result<Self, String> {
        let info = ask(http, "GET /v1/connect/info", "", "").map_err(|why| why.to_string())?;
        let url = info.split("\"url\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let url = url.ok_or("the gateway has no WebTransport")?.to_owned();
        let hashes: Vec<Hash> = info.split('"').filter_map(hash).collect();
        Ok(Self { http, url, trust: Trust::Hashes(hashes) })
    }

    /// Starts a generation on a channel of this name, with no app waiting for it.
    pub(super) fn speak(&self, channel: &str, shape: Shape) -> Result<(), String> {
        let headers = format!(
            "content-type: application/json\r\ntokenway-channel: {channel}\r\nprefer: respond-async\r\n"
        );
        let body = format!(
            "{{\"model\":\"bench\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
            shape.text()
        );
        let answer = ask(self.http, "POST /v1/chat/completions", &headers, &body);
        let answer = answer.map_err(|why| why.to_string())?;
        if answer.starts_with("HTTP/1.1 202") { Ok(()) } else { Err(format!("no 202: {answer}")) }
    }
}

fn ask(to: SocketAddr, what: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// 64 hexadecimal digits.
fn hash(text: &str) -> Option<Hash> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sixty_four_digits() {
        assert_eq!(hash(&"0f".repeat(32)), Some([15; 32]));
        assert_eq!(hash(&"0f".repeat(31)), None);
        assert_eq!(hash(&"0g".repeat(32)), None);
    }
}
