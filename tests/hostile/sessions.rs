//! Sessions over WebSocket that do not keep to the protocol.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use prost::Message as _;
use serde_json::json;
use tokenway::wire::{
    Framing,
    proto::{self, client_message::Body as Request, control::Body as Answer, server_message::Body},
};

use crate::{
    Table,
    gateway::{Gateway, WEB},
    tokens::good,
};

/// A WebSocket, by hand: what a library would not send must be sent, too.
struct Socket {
    stream: TcpStream,
    framing: Framing,
}

impl Socket {
    fn connect(gateway: &Gateway, query: &str) -> Self {
        let mut stream = gateway.connect();
        let said = format!(
            "GET /v1/connect{query} HTTP/1.1\r\nhost: gateway.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: tokenway.v1\r\n\r\n"
        );
        stream.write_all(said.as_bytes()).expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self { stream, framing: Framing::new(16 << 20) }
    }

    /// With a token, and welcomed.
    fn greeted(gateway: &Gateway, token: &str) -> Self {
        let mut socket = Self::connect(gateway, "");
        let tokens = vec![token.to_owned()];
        socket.say(Request::Hello(proto::Hello { protocol: 1, tokens, ..Default::default() }));
        assert!(matches!(socket.answer(), Some(Answer::Welcome(_))), "it is let in");
        socket
    }

    /// A frame as it is told, masked with nothing.
    fn frame(&mut self, first: u8, masked: bool, payload: &[u8]) {
        let mut frame = vec![first];
        let mask = if masked { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..126 => frame.push(mask | short as u8),
            long => {
                frame.push(mask | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0; 4]);
        }
        frame.extend(payload);
        // A session that has been closed does not read to the end.
        let _ = self.stream.write_all(&frame);
    }

    fn say(&mut self, body: Request) {
        let message = proto::ClientMessage { request: 7, body: Some(body) };
        self.frame(0x82, true, &message.encode_length_delimited_to_vec());
    }

    /// The next answer; `None`: it was closed.
    fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(message) = self.framing.pop().expect("delimited") {
                match proto::ServerMessage::decode(message).expect("a message").body {
                    Some(Body::Control(control)) => return control.body,
                    _ => continue,
                }
            }
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).ok()?;
            let length = match head[1] & 0x7f {
                126 => {
                    let mut length = [0; 2];
                    self.stream.read_exact(&mut length).ok()?;
                    u64::from(u16::from_be_bytes(length))
                }
                127 => {
                    let mut length = [0; 8];
                    self.stream.read_exact(&mut length).ok()?;
                    u64::from_be_bytes(length)
                }
                short => u64::from(short),
            };
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).ok()?;
            match head[0] & 0x0f {
                2 => {
                    self.framing.push(&payload);
                }
                8 => return None,
                _ => {}
            }
        }
    }

    /// What came of it, in a word: the code of the first refusal or closing.
    fn told(&mut self) -> String {
        loop {
            match self.answer() {
                None => return "closed".to_owned(),
                Some(Answer::Closing(closing)) => return format!("closing {}", closing.code),
                Some(Answer::Refused(refused)) => return format!("refused {}", refused.code),
                Some(_) => {}
            }
        }
    }
}

fn subscribe(alias: u32, channel: &str) -> Request {
    Request::Subscribe(proto::Subscribe { alias, channel: channel.into(), ..Default::default() })
}

fn publish(data: &str, kind: &str) -> Request {
    let custom = Some(proto::Custom { r#type: kind.into(), data: data.to_owned().into() });
    Request::Publish(proto::Publish { channel: "chat-1".into(), custom })
}

/// Before hello.
const STRANGE: [(&str, &[u8], &str); 6] = [
    ("a text", b"", "closing bad_message|closed"),
    ("junk", &[0xff; 40], "closing bad_message"),
    (
        "a length beyond all",
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        "closing bad_message",
    ),
    ("a length of 10 MB", &[0x80, 0xad, 0xe2, 0x04], "closing bad_message"),
    ("an empty message", &[0], "closing bad_message"),
    ("a message of another kind", &[4, 8, 1, 0x7a, 0], "closing bad_message"),
];

pub(crate) fn try_all(table: &mut Table<'_>) {
    let gateway = table.gateway;
    let handshake = gateway.exchange(
        b"GET /v1/connect HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 7\r\n\r\n",
    );
    table.note("an upgrade of another version", "400|426", handshake.shown());
    table.note("a session without an upgrade", "400|426", gateway.get("/v1/connect", "").shown());
    for (input, payload, expected) in STRANGE {
        let mut socket = Socket::connect(gateway, "");
        socket.frame(if payload.is_empty() { 0x81 } else { 0x82 }, true, payload);
        table.note(format!("{input} instead of hello"), expected, socket.told());
    }
    let mut socket = Socket::connect(gateway, "");
    socket.frame(0x82, false, &[0]);
    table.note("a frame without a mask", "closed", socket.told());
    let mut socket = Socket::connect(gateway, "");
    socket.frame(0xf2, true, &[0]);
    table.note("a frame with reserved bits", "closed", socket.told());
    let mut socket = Socket::connect(gateway, "");
    for _ in 0..40 {
        socket.frame(0x02, true, &[0; 60_000]);
        socket.frame(0x00, true, &[0; 60_000]);
    }
    table.note("a message of endless fragments", "closed|closing bad_message", socket.told());
    let mut socket = Socket::connect(gateway, "");
    socket.say(subscribe(1, "chat-1"));
    table.note("a subscription before hello", "closing hello_expected", socket.told());
    let mut socket = Socket::connect(gateway, "");
    table.note("no hello at all", "closing hello_expected", socket.told());
    for (input, protocol, tokens, expected) in [
        ("another protocol", 99, vec![good(json!({}))], "closing protocol_unsupported"),
        ("no token", 1, vec![], "closing forbidden"),
        ("a token that is none", 1, vec!["junk".to_owned()], "closing forbidden"),
        ("300 tokens that are none", 1, vec!["a.b.c".to_owned(); 300], "closing forbidden"),
    ] {
        let mut socket = Socket::connect(gateway, "");
        socket.say(Request::Hello(proto::Hello { protocol, tokens, ..Default::default() }));
        table.note(format!("hello with {input}"), expected, socket.told());
    }
    let mut socket = Socket::connect(gateway, &format!("?token={}", good(json!({ "exp": 1 }))));
    socket.say(Request::Hello(proto::Hello { protocol: 1, ..Default::default() }));
    table.note("an expired token in the URL", "closing forbidden", socket.told());
    let read = good(json!({}));
    let cancel = proto::Cancel { channel: "chat-1".into(), ..Default::default() };
    for (input, request, expected) in [
        ("a second hello", Request::Hello(proto::Hello::default()), "closing bad_message"),
        ("a channel that is no id", subscribe(1, "../a"), "refused bad_channel_id"),
        ("a channel of 100,000", subscribe(1, &"a".repeat(60_000)), "refused bad_channel_id"),
        ("another's channel", subscribe(1, "other"), "refused forbidden"),
        ("alias 0", subscribe(0, "chat-1"), "refused bad_request"),
        ("to stop without the right", Request::Cancel(cancel), "refused forbidden"),
        ("to publish without the right", publish("1", "note"), "refused forbidden"),
        (
            "to leave what is not there",
            Request::Unsubscribe(proto::Unsubscribe { alias: 9 }),
            "refused bad_request",
        ),
        (
            "to add junk for a token",
            Request::AddTokens(proto::AddTokens { tokens: vec!["junk".into()] }),
            "refused forbidden",
        ),
    ] {
        let mut socket = Socket::greeted(gateway, &read);
        socket.say(request);
        table.note(format!("asking for {input}"), expected, socket.told());
    }
    let all = good(json!({ "allow": ["read", "publish", "cancel"] }));
    for (input, request, expected) in [
        ("no JSON", publish("junk", "note"), "refused bad_request"),
        ("an event without a type", publish("1", ""), "refused bad_request"),
        (
            "an event of 300 KB",
            publish(&format!("\"{}\"", "x".repeat(300_000)), "note"),
            "closing bad_message",
        ),
    ] {
        table.gateway.renew();
        let mut socket = Socket::greeted(gateway, &all);
        socket.say(request);
        table.note(format!("publishing {input}"), expected, socket.told());
    }
    floods(table, &read);
    let mut socket = Socket::connect(gateway, &format!("?token={WEB}"));
    socket.say(Request::Hello(proto::Hello { protocol: 1, ..Default::default() }));
    let welcomed = matches!(socket.answer(), Some(Answer::Welcome(_)));
    table.note("and a session that is right", "welcome", if welcomed { "welcome" } else { "none" });
}

fn floods(table: &mut Table<'_>, read: &str) {
    let gateway = table.gateway;
    table.gateway.renew();
    let mut socket = Socket::connect(gateway, "");
    let subscriptions = (1..=5_000).map(|alias| proto::Subscribe {
        alias,
        channel: "chat-1".into(),
        ..Default::default()
    });
    let hello = proto::Hello {
        protocol: 1,
        tokens: vec![read.to_owned()],
        subscriptions: subscriptions.collect(),
        ..Default::default()
    };
    socket.say(Request::Hello(hello));
    table.note(
        "hello with 5,000 subscriptions",
        "refused limit|refused channel_not_found",
        socket.told(),
    );
    let mut socket = Socket::greeted(gateway, read);
    // Asked and asked, and never read.
    socket.stream.set_nonblocking(true).expect("a socket");
    let ping = proto::ClientMessage {
        request: 1,
        body: Some(Request::Ping(proto::Ping { nonce: u64::MAX })),
    };
    let mut frame = vec![0x82, 0x80 | 126];
    let run = ping.encode_length_delimited_to_vec().repeat(2_000);
    frame.extend((run.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(&run);
    let begun = std::time::Instant::now();
    let closed = loop {
        match socket.stream.write(&frame) {
            // A half-written frame makes the next one junk, which is as good a reason to be closed.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Err(_) => break true,
        }
        if begun.elapsed() > std::time::Duration::from_secs(20) {
            break false;
        }
    };
    table.note("pings without end, unread", "closed", if closed { "closed" } else { "open" });
}
