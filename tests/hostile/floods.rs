//! Many at once: connections that say nothing, calls that are broken off, datagrams of junk.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use crate::{
    Table,
    gateway::{Gateway, WEB},
    tokens::good,
};
use serde_json::json;

/// How many connections say nothing, where there are files for so many.
const HALF_OPEN: u64 = 10_000;

/// After so many, glibc's arenas do not grow any more (measured: 129, 163, 179, 186, 187, 189 MB, and then for ever).
const WARM_UPS: usize = 8;

/// What either process has open besides.
const OTHER_FILES: u64 = 500;

/// As many files as there may be, here and for the gateway, which inherits it.
pub(crate) fn raise_file_limit() -> u64 {
    rlimit::increase_nofile_limit(2 * HALF_OPEN + OTHER_FILES).expect("a limit")
}

pub(crate) fn try_all(table: &mut Table<'_>) {
    half_open(table);
    broken_off(table);
    datagrams(table);
    cancelled(table);
}

/// As many connections as there are files for, of which every other one begins to speak.
fn knocking(gateway: &Gateway) -> Vec<TcpStream> {
    let count = HALF_OPEN.min(raise_file_limit().saturating_sub(OTHER_FILES));
    (0..count)
        .map(|at| {
            let mut stream = TcpStream::connect(gateway.http).expect("it accepts");
            if at % 2 == 0 {
                let _ = stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-");
            }
            stream
        })
        .collect()
}

/// Lets the gateway have, and the allocator keep, what so many connections take: it is kept by the process for ever.
pub(crate) fn warm_up(gateway: &Gateway) {
    for _ in 0..WARM_UPS {
        let streams = knocking(gateway);
        assert!(gateway.is_healthy(), "it answers");
        std::thread::sleep(Duration::from_millis(500));
        drop(streams);
    }
}

fn half_open(table: &mut Table<'_>) {
    let gateway = table.gateway;
    let (before, files) = (gateway.files(), raise_file_limit());
    let streams = knocking(gateway);
    let (count, held) = (streams.len(), gateway.files().saturating_sub(before));
    match files >= HALF_OPEN + OTHER_FILES {
        true => assert_eq!(count as u64, HALF_OPEN, "there were files for them"),
        false => println!(" ONLY {count} of {HALF_OPEN}: this machine allows {files} open files"),
    }
    // Those that came first may have been closed by now, on a slow machine.
    println!(" of {count} connections the gateway holds {held} at once");
    assert!(held > count / 2, "it has not taken them: {held} of {count}");
    let healthy = gateway.is_healthy();
    table.note(
        format!("{count} connections that say nothing, meanwhile"),
        "answers",
        if healthy { "answers" } else { "does not answer" },
    );
    // All of them are closed by the gateway.
    let begun = Instant::now();
    let mut open = 0;
    for mut stream in streams {
        let left = Duration::from_secs(30).saturating_sub(begun.elapsed());
        let left = left.max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).expect("a timeout");
        let mut rest = Vec::new();
        if stream.read_to_end(&mut rest).is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        }) {
            open += 1;
        }
    }
    table.note(
        format!("{count} connections that say nothing, later"),
        "0 open",
        format!("{open} open"),
    );
}

fn broken_off(table: &mut Table<'_>) {
    let call = r#"{"model":"sim","stream":true,"max_tokens":50000,"messages":[{"role":"user","content":"Hi"}]}"#;
    let said = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {WEB}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{call}",
        call.len()
    );
    for at in 0..500 {
        let mut stream = table.gateway.connect();
        let until = if at % 2 == 0 { said.len() } else { at * said.len() / 500 };
        let _ = stream.write_all(&said.as_bytes()[..until]);
        if at % 20 == 0 {
            let _ = stream.read(&mut [0; 512]);
        }
    }
    let answer = table.gateway.post(
        "/v1/chat/completions",
        &format!("x-api-key: {WEB}\r\n"),
        &json!({
            "model": "sim", "max_tokens": 5, "messages": [{ "role": "user", "content": "Hi" }]
        }),
    );
    table.note("500 calls that are broken off, then a good one", "200", answer.shown());
}

fn datagrams(table: &mut Table<'_>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut junk = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect()
    };
    // What is dropped on the way was sent all the same.
    let send = |datagram: &[u8]| _ = socket.send_to(datagram, table.gateway.udp);
    for at in 0..5_000 {
        send(&junk(at % 1_400));
    }
    for version in [0u32, 1, 0xff00_001d, 0xdead_beef] {
        for _ in 0..500 {
            let mut initial = vec![0xc3];
            initial.extend(version.to_be_bytes());
            initial.extend([8]);
            initial.extend(junk(8));
            initial.extend([0, 0, 0x44, 0xd0]);
            initial.extend(junk(1_200));
            send(&initial);
        }
    }
    for _ in 0..200 {
        send(&junk(60_000));
    }
    let reached = webtransport_answers(table);
    table.note("7,200 datagrams of junk and QUIC that is none", "welcome", reached);
}

/// Whether a real client still gets in beside all that.
fn webtransport_answers(table: &Table<'_>) -> &'static str {
    use tokenway::native::{Client, Target};
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (url, token) = (format!("http://{}", table.gateway.http), good(json!({})));
    table.gateway.renew();
    runtime.block_on(async {
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            let target = Target::discover(&url, Some(token)).await.expect("it is told where");
            let mut client = Client::connect(target).await.expect("it connects");
            client.subscribe("chat-1", tokenway::sequence::From::Beginning, false);
            client.next().await.is_ok()
        });
        if told.await == Ok(true) { "welcome" } else { "none" }
    })
}

/// Whoever may only look cannot stop what runs.
fn cancelled(table: &mut Table<'_>) {
    let call = r#"{"model":"sim","stream":true,"max_tokens":50000,"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut stream = table.gateway.connect();
    let said = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {WEB}\r\ntokenway-channel: chat-long\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{call}",
        call.len()
    );
    stream.write_all(said.as_bytes()).expect("it reads");
    stream.read_exact(&mut [0; 64]).expect("it streams");
    let head = format!("authorization: Bearer {}\r\n", good(json!({})));
    let refused = table.gateway.post("/v1/channels/chat-long/cancel", &head, &json!({}));
    table.note("stopping what runs without the right", "403", refused.shown());
    let state = table.gateway.get("/v1/channels/chat-long", &head);
    let runs = state.text.contains("\"state\":\"running\"");
    table.note("and it runs on", "running", if runs { "running" } else { "ended" });
}
