//! HTTP that is wrong, or meant ill: keys, paths, heads, bodies, and what is no HTTP at all.

use serde_json::{Value, json};

use crate::{Table, gateway::WEB};

fn call() -> Value {
    json!({ "model": "sim", "max_tokens": 5, "messages": [{ "role": "user", "content": "Hi" }] })
}

pub(crate) fn try_all(table: &mut Table<'_>) {
    keys(table);
    paths(table);
    heads(table);
    bodies(table);
    strangers(table);
}

fn keys(table: &mut Table<'_>) {
    let chat = "/v1/chat/completions";
    for (input, head) in [
        ("no key", String::new()),
        ("a wrong key", "authorization: Bearer wrong\r\n".into()),
        ("an empty key", "authorization: Bearer \r\n".into()),
        ("a key in another scheme", format!("authorization: Basic {WEB}\r\n")),
        ("a key with a byte more", format!("x-api-key: {WEB}0\r\n")),
        ("a key with a byte less", format!("x-api-key: {}\r\n", &WEB[1..])),
        ("a key in a cookie", format!("cookie: key={WEB}\r\n")),
        ("a key of control characters", "x-api-key: \u{7f}\u{80}\r\n".into()),
        ("a key in the wrong parameter", String::new()),
    ] {
        let answer = table.gateway.post(chat, &head, &call());
        table.note(input, "401|400", answer.shown());
    }
    let long = format!("x-api-key: {}\r\n", "k".repeat(20_000));
    table.note("a key of 20,000 bytes", "431", table.gateway.post(chat, &long, &call()).shown());
    let key = format!("authorization: Bearer {WEB}\r\n");
    for (input, origin) in
        [("a page of another origin", "https://evil.example"), ("a page without an origin", "null")]
    {
        let head = format!("{key}origin: {origin}\r\n");
        table.note(input, "403", table.gateway.post(chat, &head, &call()).shown());
    }
}

fn paths(table: &mut Table<'_>) {
    let key = format!("authorization: Bearer {WEB}\r\n");
    for (path, expected) in [
        ("/v1/channels/../../etc/passwd", "404|400"),
        ("/v1/channels/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "400"),
        ("/v1/channels/..", "404"),
        ("/v1/channels/%00", "400"),
        ("/v1/channels/a%2Fb", "400"),
        ("/v1/channels/%ff%fe", "400"),
        ("/v1/channels/%0d%0aset-cookie:%20a", "400"),
        ("/v1/channels/a;b", "400"),
        ("/v1/channels/%E2%80%AE", "400"),
        ("/v1/files/../../secret", "404"),
        ("/v1/files/%2e%2e/%2E%2E/secret", "404"),
        ("/v1/files/..%5c..%5csecret", "404"),
        ("//v1//models", "404"),
        ("/V1/MODELS", "404"),
        ("/.git/config", "404"),
        ("/console.js/../../Cargo.toml", "404"),
        ("/v1/channels/chat-1/events?after=junk", "400"),
        ("/v1/channels/chat-1/events?after=ffffffff.1", "409"),
        ("/v1/channels/chat-1/events?after=18446744073709551616", "400"),
        ("/v1/channels/chat-1/events?wait=99999h", "400"),
        ("/v1/channels/chat-1/events?wait=-1s", "400"),
    ] {
        table.gateway.renew();
        table.note(format!("GET {path}"), expected, table.gateway.get(path, &key).shown());
    }
    let long = format!("/v1/channels/{}", "a".repeat(129));
    table.note("a channel id of 129", "400", table.gateway.get(&long, &key).shown());
    let long = format!("/{}", "a".repeat(70_000));
    table.note("a path of 70,000", "414|431|400", table.gateway.get(&long, &key).shown());
    for (input, line, expected) in [
        ("CONNECT elsewhere", "CONNECT evil.example:443 HTTP/1.1", "401|404|405|400"),
        ("TRACE", "TRACE /v1/models HTTP/1.1", "401|404|405"),
        (
            "a method of 10,000",
            &format!("{} / HTTP/1.1", "A".repeat(10_000)),
            "400|401|404|405|431",
        ),
        ("another host's URL", "GET http://evil.example/v1/none HTTP/1.1", "404"),
        ("HTTP/0.9", "GET /", "400"),
        ("HTTP/9.9", "GET / HTTP/9.9", "400"),
        ("a request line of nothing", "", "400|closed"),
    ] {
        let said = format!("{line}\r\nhost: gateway.example\r\nconnection: close\r\n{key}\r\n");
        table.note(input, expected, table.gateway.exchange(said.as_bytes()).shown());
    }
}

fn heads(table: &mut Table<'_>) {
    let key = format!("authorization: Bearer {WEB}\r\n");
    let chat = "/v1/chat/completions";
    for (input, more, expected) in [
        ("CRLF in a channel's name", "tokenway-channel: a\r\n set-cookie: b\r\n", "400"),
        ("a channel's name with a slash", "tokenway-channel: a/../b\r\n", "400"),
        ("a channel's name with a quote", "tokenway-channel: a\"b\r\n", "400"),
        ("a header name with a space", "x bad: a\r\n", "400"),
        ("a header without a name", ": a\r\n", "400"),
        ("a NUL in a header", "x-a: a\0b\r\n", "400"),
        ("a bare CR in a header", "x-a: a\rb\r\n", "400"),
        ("a second, other content-length", "content-length: 3\r\n", "400"),
        ("a negative content-length", "content-length: -5\r\n", "400"),
        ("a content-length and chunks", "transfer-encoding: chunked\r\n", "400"),
        ("another transfer-encoding", "transfer-encoding: gzip\r\n", "400|501"),
    ] {
        let head = format!("{key}{more}");
        table.note(input, expected, table.gateway.post(chat, &head, &call()).shown());
    }
    let many: String = (0..2_000).map(|at| format!("x-{at}: a\r\n")).collect();
    table.note(
        "2,000 headers",
        "431",
        table.gateway.get("/v1/models", &(key.clone() + &many)).shown(),
    );
    let long = format!("{key}x-a: {}\r\n", "a".repeat(100_000));
    table.note("a header of 100,000", "431", table.gateway.get("/v1/models", &long).shown());
}

fn bodies(table: &mut Table<'_>) {
    let key = format!("authorization: Bearer {WEB}\r\n");
    let chat = "/v1/chat/completions";
    let post = |body: &[u8]| table.gateway.post_bytes(chat, &key, body).shown();
    let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    let with = |member: &str, value: Value| {
        let mut call = call();
        call[member] = value;
        call.to_string().into_bytes()
    };
    let rows: Vec<(&str, &str, String)> = vec![
        ("no JSON", "400", post(b"junk")),
        ("an empty body", "400", post(b"")),
        ("JSON that is cut", "400", post(br#"{"model":"sim","messages":[{"#)),
        ("a body that is no UTF-8", "400", post(b"\xff\xfe\xfd")),
        ("JSON 200,000 deep", "400", post(&deep)),
        ("a number beyond all numbers", "400", post(br#"{"model":1e999999}"#)),
        ("a model with a NUL", "404", post(&with("model", json!("a\0b")))),
        ("a model of 100,000 characters", "404", post(&with("model", json!("m".repeat(100_000))))),
        ("a model that is a list", "400", post(&with("model", json!(["sim"])))),
        ("messages that are none", "400|200", post(&with("messages", json!("Hi")))),
        (
            "100,000 empty messages",
            "400|200",
            post(&with("messages", json!(vec![json!({}); 100_000]))),
        ),
        ("a million choices", "400", post(&with("n", json!(1_000_000)))),
        ("a body beyond the limit", "413", post(&vec![b' '; 2 << 20])),
        ("gzip that nobody unpacks", "400", post(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])),
    ];
    for (input, expected, got) in rows {
        table.note(input, expected, got);
    }
    let packed = format!("{key}content-encoding: gzip\r\n");
    let bomb = bomb();
    let got = table.gateway.post_bytes(chat, &packed, &bomb).shown();
    table.note(format!("{} KiB of gzip that are 64 MiB", bomb.len() >> 10), "400|415", got);
    let head =
        format!("POST {chat} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{key}");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let endless = [
        chunked.as_bytes(),
        &b"10000\r\n"
            .iter()
            .copied()
            .chain(vec![b'a'; 65_536])
            .chain(*b"\r\n")
            .collect::<Vec<_>>()
            .repeat(40),
    ]
    .concat();
    for (input, said, expected) in [
        (
            "a length beyond all lengths",
            format!("{head}content-length: 99999999999999999999\r\n\r\n").into_bytes(),
            "400",
        ),
        (
            "a length that is far too much",
            format!("{head}content-length: 999999999999\r\n\r\n").into_bytes(),
            "413",
        ),
        ("a chunk's length that is none", format!("{chunked}zz\r\n").into_bytes(), "400"),
        (
            "a chunk's length beyond all",
            format!("{chunked}FFFFFFFFFFFFFFFFF\r\n").into_bytes(),
            "400",
        ),
        ("chunks without an end", endless, "413"),
        (
            "a body that stands still",
            format!("{head}content-length: 100\r\n\r\n{{").into_bytes(),
            "408",
        ),
        ("a head that stands still", format!("{head}x-a: ").into_bytes(), "closed|408"),
    ] {
        table.note(input, expected, table.gateway.exchange(&said).shown());
    }
    for (input, body, expected) in [
        ("a token for a bad channel", json!({ "channel": "a/b" }), "400"),
        ("a token for 1,000 channels", json!({ "channel": vec!["a"; 1_000] }), "400"),
        ("a token for ever", json!({ "channel": "a", "ttl": "9999h" }), "400"),
        ("a token for nothing", json!({ "channel": "a", "allow": [] }), "400"),
        ("a token with a member of its own", json!({ "channel": "a", "owner": "other" }), "400"),
    ] {
        table.note(input, expected, table.gateway.post("/v1/tokens", &key, &body).shown());
    }
}

/// 64 MiB of spaces, in gzip: one literal, and copies of 258 bytes from one byte back (RFC 1951, fixed codes).
fn bomb() -> Vec<u8> {
    let mut bits = Vec::new();
    // Numbers begin with their lowest bit, codes with their highest.
    let mut put = |code: u16, length: u16| bits.extend((0..length).rev().map(|at| code >> at & 1));
    put(0b110, 3);
    put(0x30 + u16::from(b' '), 8);
    for _ in 0..(64 << 20) / 258 {
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7);
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    packed.extend(
        bits.chunks(8).map(|byte| {
            byte.iter().enumerate().fold(0, |byte, (at, bit)| byte | (*bit as u8) << at)
        }),
    );
    packed.extend([0; 8]);
    packed
}

/// The same bytes of nothing every time.
pub(crate) fn junk(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// What looks like the greeting of TLS.
pub(crate) fn hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([7; 508]);
    hello
}

/// What speaks something else.
fn strangers(table: &mut Table<'_>) {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut settings = preface.clone();
    for _ in 0..20_000 {
        settings.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    }
    let mut huge_frame = preface.clone();
    huge_frame.extend([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]);
    let mut on_zero = preface.clone();
    on_zero.extend([0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    for (input, said, expected) in [
        ("TLS on the plain port", hello(), "400|closed"),
        ("4 KiB of junk", junk(4_096), "400|closed"),
        ("an SSH client", b"SSH-2.0-OpenSSH_9.7\r\n\r\n".to_vec(), "400|closed"),
        (
            "a SOCKS client",
            vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "400|closed",
        ),
        ("HTTP/2, then junk", [preface.clone(), vec![0xee; 64]].concat(), "closed"),
        ("HTTP/2, a frame too large", huge_frame, "closed"),
        ("HTTP/2, data on stream 0", on_zero, "closed"),
        ("HTTP/2, 20,000 settings", settings, "closed"),
        ("half of HTTP/2's preface", preface[..10].to_vec(), "closed"),
    ] {
        let answer = table.gateway.exchange(&said);
        // HTTP/2's own words are no HTTP/1: what counts is that it was ended.
        let got = if answer.hung { "hung".to_owned() } else { answer.shown() };
        table.note(input, expected, got);
    }
}
