//! Limits that hold for everybody, whatever key they show: what is too much is refused, and others are served meanwhile.

use std::{num::NonZeroU32, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{OTHER, WEB, keyed_with, limits::short, status};
use crate::{
    gateway::{body, header, refusal, send, sent, stream_of},
    soon,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_gateway_takes_so_many_and_sheds_the_rest() {
    let (gateway, upstream) =
        keyed_with(|config| config.limits.generations = NonZeroU32::new(1)).await;
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    let mut app = stream_of(call).await;
    let refused = send(gateway.streamed().bearer_auth(OTHER)).await;
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "retry-after")), (503, "1"));
    assert_eq!(body(refused).await["error"]["code"], "overloaded");
    provider.finish().await;
    app.rest().await;
    assert_eq!(status(gateway.chat(short("sim")).bearer_auth(OTHER)).await, 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_slow_is_refused() {
    let (gateway, _upstream) = keyed_with(|config| {
        config.limits.body = 4_096;
        config.limits.headers = 8_192;
        config.limits.header_timeout = Duration::from_millis(300);
        config.limits.body_timeout = Duration::from_millis(300);
    })
    .await;
    for (path, at, word) in [
        ("/v1/chat/completions", "/error/code", "too_large"),
        ("/v1/messages", "/error/type", "request_too_large"),
        ("/v1/responses", "/error/code", "too_large"),
        ("/v1/channels/a/events", "/error/code", "too_large"),
    ] {
        let large = json!({ "model": "sim", "messages": [{ "role": "user", "content": "x".repeat(5_000) }] });
        let (status, said) = refusal(gateway.post(path, large).bearer_auth(WEB)).await;
        assert_eq!((status, said.pointer(at)), (413, Some(&json!(word))), "{path}: {said}");
        assert!(said.to_string().contains("4096 bytes (limits.body)"), "{said}");
    }
    // What only passes is no larger, whether it tells its length or not.
    let upload = || gateway.http.post(gateway.url("/v1/files")).bearer_auth(WEB);
    assert_eq!(status(upload().body(vec![b'x'; 5_000])).await, 413);
    let parts =
        futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000])));
    assert_eq!(status(upload().body(reqwest::Body::wrap_stream(parts))).await, 413);
    let long = gateway.get("/v1/models").bearer_auth(WEB).header("x-long", "x".repeat(10_000));
    assert_eq!(status(long).await, 431);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {WEB}\r\n"
    );
    for (said, answered) in [
        (String::new(), ""),
        ("PRI".to_owned(), ""),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ".to_owned(), ""),
        (
            format!(
                "{head}content-length: 100\r\ncontent-type: application/json\r\n\r\n{{\"model\":"
            ),
            "HTTP/1.1 408",
        ),
    ] {
        let mut stream = TcpStream::connect(gateway.addr).await.expect("the gateway accepts");
        stream.write_all(said.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        // Broken off, or answered and closed.
        let read = soon("the gateway loses patience", stream.read_to_end(&mut answer));
        let read = tokio::time::timeout(Duration::from_secs(10), read).await.expect("soon");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(answered) || read.is_err(), "{said:?}: {answer}");
        assert!(
            !answered.is_empty() || answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    assert_eq!(status(gateway.get("/healthz")).await, 200);
    assert_eq!(super::refusals(&gateway, "too_large").await, 6);
    assert!(super::refusals(&gateway, "too_slow").await >= 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_the_memory_that_they_may_take_and_give_it_back() {
    let (gateway, upstream) = keyed_with(|config| {
        config.limits.bodies = 10_000;
        config.limits.body_timeout = Duration::from_secs(60);
    })
    .await;
    let large = |model: &str| {
        let content = "x".repeat(4_500);
        json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": content }] })
    };
    // One comes and does not end, and one runs, of different keys: none has more than half.
    let said = large("sim").to_string();
    let mut coming = TcpStream::connect(gateway.addr).await.expect("the gateway accepts");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {WEB}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        said.len()
    );
    let (most, rest) = said.split_at(said.len() - 1);
    coming.write_all(format!("{head}{most}").as_bytes()).await.expect("it reads");
    let call = sent(gateway.chat(large("fast")).bearer_auth(OTHER));
    let mut provider = upstream.call().await;
    provider.begin().await;
    let mut app = stream_of(call).await;
    let refused = soon("there is no room", async {
        loop {
            let refused = send(gateway.post("/v1/messages", large("sim")).bearer_auth(OTHER)).await;
            if refused.status() != 200 {
                break refused;
            }
        }
    })
    .await;
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "retry-after")), (503, "1"));
    let said = body(refused).await;
    assert!(said.to_string().contains("limits.bodies"), "{said}");
    assert_eq!(status(gateway.chat(short("sim")).bearer_auth(WEB)).await, 200, "a small one fits");
    // A screen's token takes nothing of what calls need.
    let token = super::token(&gateway, WEB, json!({ "channel": "a", "allow": ["cancel"] })).await;
    let padded = format!("{{{}}}", " ".repeat(60_000));
    let cancel = gateway.post("/v1/channels/a/cancel", padded).bearer_auth(token);
    assert_eq!(status(cancel).await, 404);
    provider.finish().await;
    app.rest().await;
    coming.write_all(rest.as_bytes()).await.expect("it reads");
    let mut answer = [0; 12];
    coming.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    soon("there is room again", async {
        while status(gateway.chat(large("sim")).bearer_auth(WEB)).await != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_stands_still_and_never_comes_is_given_up() {
    let (gateway, _upstream) =
        keyed_with(|config| config.limits.body_timeout = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(gateway.addr).await.expect("the gateway accepts");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {WEB}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let (mut reads, mut writes) = stream.split();
    let drip = async {
        let mut drops = tokio::time::interval(Duration::from_millis(50));
        loop {
            drops.tick().await;
            if writes.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        read = soon("the gateway loses patience", reads.read_exact(&mut answer)) => assert_eq!(read.expect("an answer"), 12),
        () = drip => unreachable!("it drips for ever"),
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(super::refusals(&gateway, "too_slow").await, 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_logs_take_all_their_memory_new_generations_are_shed() {
    let (gateway, upstream) = keyed_with(|config| config.limits.logs = 200_000).await;
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    for _ in 0..80 {
        provider.text_delta(&"x".repeat(4_000)).await;
    }
    let mut app = stream_of(call).await;
    let refused = soon("the logs are seen to be full", async {
        loop {
            let refused = send(gateway.chat(short("sim")).bearer_auth(WEB)).await;
            if refused.status() != 200 {
                break refused;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "retry-after")), (503, "1"));
    let said = body(refused).await;
    assert_eq!(said["error"]["code"], "overloaded");
    assert!(said.to_string().contains("limits.logs"), "{said}");
    // What runs goes on, and once it has ended there is room.
    provider.finish().await;
    assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    soon("there is room again", async {
        while status(gateway.chat(short("sim")).bearer_auth(WEB)).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_too_often_is_told_when_it_may_again() {
    let (gateway, _upstream) =
        keyed_with(|config| config.limits.publishes_per_minute = NonZeroU32::new(5)).await;
    super::spoken_on(&gateway, WEB, "chat-1").await;
    let note =
        |key| gateway.post("/v1/channels/chat-1/events", r#"{"type":"note"}"#).bearer_auth(key);
    for _ in 0..5 {
        assert_eq!(status(note(WEB.to_owned())).await, 200);
    }
    let refused = send(note(WEB.to_owned())).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = header(refused.headers(), "retry-after").parse().expect("seconds");
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(super::refusals(&gateway, "publishes_per_minute").await, 1);
    // A client of its own is counted by itself.
    let wish = json!({ "channel": "chat-1", "allow": ["publish"], "client": "screen-1" });
    let token = super::token(&gateway, WEB, wish).await;
    assert_eq!(status(note(token)).await, 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_seated_like_sessions_and_a_proxy_is_believed_for_whom_it_speaks() {
    let (gateway, _upstream) = keyed_with(|config| {
        config.limits.sessions_per_address = NonZeroU32::new(1);
        config.limits.sessions_per_client = NonZeroU32::new(1);
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    super::spoken_on(&gateway, WEB, "chat-1").await;
    let token = async |client| {
        super::token(&gateway, WEB, json!({ "channel": "chat-1", "client": client })).await
    };
    let [one, other] = [token("screen-1").await, token("screen-2").await];
    let view = |token: &str, address: &str| {
        let events = gateway.get("/v1/channels/chat-1/events").bearer_auth(token);
        events.header("accept", "text/event-stream").header("x-forwarded-for", address.to_owned())
    };
    let open = send(view(&one, "192.0.2.1")).await;
    assert_eq!(open.status(), 200);
    for (token, address, expected) in [
        (other.as_str(), "192.0.2.1", 429),
        // What the client itself wrote does not help.
        (&other, "198.51.100.9, 192.0.2.1", 429),
        (&one, "192.0.2.2", 429),
        // An app speaks for many.
        (WEB, "192.0.2.1", 200),
        (WEB, "192.0.2.1", 200),
    ] {
        assert_eq!(status(view(token, address)).await, expected, "{address}");
    }
    let second = send(view(&other, "192.0.2.2")).await;
    assert_eq!(second.status(), 200);
    assert_eq!(super::refusals(&gateway, "seat").await, 3);
    drop((open, second));
    soon("the seats are free", async {
        while status(view(&one, "192.0.2.2")).await != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    gateway.stop().await;
}
