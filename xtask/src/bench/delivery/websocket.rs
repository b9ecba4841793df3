//! A viewer over WebSocket that does as little as one can: a thousand of them must not be what is measured.

use std::{io, net::SocketAddr, sync::mpsc};

use tokenway::wire::{self, proto};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::viewers::Tally;

/// A final frame of bytes.
const BINARY: u8 = 0x82;

/// One session. Gives why it ended; it should not.
pub(super) async fn view(
    to: SocketAddr,
    hello: proto::ClientMessage,
    tally: &Tally,
    came: &mpsc::Sender<Result<(), String>>,
) -> String {
    let ended = talk(to, hello, |message, bytes| {
        // The first three are the answers to hello and what the channel held.
        if message > 2 {
            tally.frame(bytes);
        }
        if message == 3 {
            // The bench has heard enough where nobody takes this.
            let _ = came.send(Ok(()));
        }
    });
    ended.await.map_or_else(|why| why.to_string(), |()| "the gateway ended the session".into())
}

async fn talk(
    to: SocketAddr,
    hello: proto::ClientMessage,
    mut heard: impl FnMut(u64, usize),
) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /v1/connect HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: tokenway.v1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut pending = Vec::with_capacity(4096);
    let head = loop {
        if stream.read_buf(&mut pending).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = pending.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
    };
    if !pending.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&pending).into_owned()));
    }
    pending.drain(..head);
    stream.write_all(&masked(&hello)).await?;
    let mut messages = 0;
    loop {
        let mut at = 0;
        while let Some((kind, from, length)) = frame(&pending[at..]) {
            if kind == BINARY {
                messages += 1;
                heard(messages, length);
            }
            at += from + length;
        }
        pending.drain(..at);
        if stream.read_buf(&mut pending).await? == 0 {
            return Ok(());
        }
    }
}

/// The message as a client's frame. It must be masked; nobody says that the mask must do anything.
fn masked(message: &proto::ClientMessage) -> Vec<u8> {
    let mut payload = Default::default();
    wire::delimit(message, &mut payload);
    let length = u16::try_from(payload.len()).expect("a hello of a few channels is short");
    let mut frame = vec![BINARY, 0x80 | 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&payload);
    frame
}

/// A whole frame at the beginning of these bytes: its first byte, where its payload begins, and how long that is.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (from, length) = match *bytes {
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
        }
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [_, length, ..] if length < 126 => (2, usize::from(length)),
        _ => return None,
    };
    (bytes.len() >= from + length).then_some((bytes[0], from, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let short = [BINARY, 2, 7, 7, BINARY];
        assert_eq!(frame(&short), Some((BINARY, 2, 2)));
        assert_eq!(frame(&short[..3]), None);
        let mut long = vec![BINARY, 126, 1, 0];
        long.extend([0; 256]);
        assert_eq!(frame(&long), Some((BINARY, 4, 256)));
        assert_eq!(frame(&long[..259]), None);
    }
}
