//! The shared vectors in `proto/vectors`: what the gateway writes and reads, byte for byte.
//!
//! `UPDATE_VECTORS=1 cargo test --test vectors` writes them anew; without it the test fails if they are not current.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod describe;

use std::{fmt::Write, path::PathBuf};

use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};
use tokenway::{
    channel::{Found, Log},
    event::{
        Custom, Event, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning,
        Resumed, RunBy, Started, TimeoutPhase, ToolArguments, ToolCall, Usage,
    },
    frame::{Form, Press},
    snapshot::State,
    wire::{
        self,
        proto::{
            self, client_message::Body as Request, control::Body as Answer, frame::News,
            server_message, snapshot::Cause, subscribe,
        },
    },
};

use describe::frame;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto/vectors")
}

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    json: Value,
}

fn vector(name: &'static str, message: &impl Message, json: Value) -> Vector {
    Vector { name, bytes: message.encode_to_vec(), json }
}

fn hold(file: &str, vectors: &[Vector]) {
    let listed = vectors.iter().map(|vector| {
        let hex = vector.bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String grows");
            hex
        });
        json!({ "name": vector.name, "hex": hex, "json": vector.json })
    });
    let text =
        serde_json::to_string_pretty(&listed.collect::<Vec<_>>()).expect("plain JSON") + "\n";
    let path = directory().join(file);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, text).expect("writable");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{file} is not current: UPDATE_VECTORS=1 cargo test --test vectors");
}

fn kinds() -> Vec<(&'static str, Event)> {
    let json = |text: &'static str| Bytes::from_static(text.as_bytes());
    let stop = Finished { reason: FinishReason::Stop, native_reason: Some("end_turn".into()) };
    let timeout = Failed {
        code: FailureCode::Timeout,
        message: "no token for 5 m".into(),
        phase: Some(TimeoutPhase::Idle),
        status: 504,
    };
    let all = [
        ("text", Kind::Text("Hel".into())),
        ("text in several bytes a character", Kind::Text("žluťoučký 🙂 漢字".into())),
        ("empty text", Kind::Text(String::new())),
        (
            "started",
            Kind::Started(Started {
                id: "gen_1".into(),
                model: "fast".into(),
                provider: "sim".into(),
                dialect: "simulator".into(),
                created_ms: 1_790_000_000_123,
                ..Started::default()
            }),
        ),
        (
            "reasoning",
            Kind::Reasoning(Reasoning {
                text: "hm".into(),
                signature: "c2ln".into(),
                encrypted: "ZW5j".into(),
            }),
        ),
        ("refusal", Kind::Refusal("I can't".into())),
        (
            "tool_call",
            Kind::ToolCall(ToolCall {
                index: 1,
                id: "call_1".into(),
                name: "search".into(),
                run_by: RunBy::Server,
            }),
        ),
        (
            "tool_arguments",
            Kind::ToolArguments(ToolArguments { index: 1, arguments: "{\"q\":".into() }),
        ),
        ("citation", Kind::Citation(json("{\"url\":\"https://example.org\"}"))),
        (
            "media",
            Kind::Media(Media {
                mime: "image/png".into(),
                data: Bytes::from_static(&[0x89, 0x50, 0, 0xff]),
                index: 2,
                part: 3,
                last: true,
            }),
        ),
        (
            "usage",
            Kind::Usage(Usage {
                input: 10,
                output: 300,
                cached_input: 4,
                cache_write: 5,
                reasoning: 200,
                native: json("{\"total\":310}"),
                estimated: true,
                cost: Some(0.25),
            }),
        ),
        (
            "resumed",
            Kind::Resumed(Resumed {
                from: "openai".into(),
                to: "anthropic".into(),
                reason: "cut".into(),
                ..Resumed::default()
            }),
        ),
        ("choice_finished", Kind::ChoiceFinished(stop.clone())),
        ("finished", Kind::Finished(stop)),
        ("failed", Kind::Failed(timeout)),
        ("custom", Kind::Custom(Custom { kind: "note".into(), data: json("{\"a\":1}") })),
        (
            "native",
            Kind::Native(Native {
                dialect: "openai".into(),
                name: "chat.completion.chunk".into(),
                data: json("{\"x\":null}"),
            }),
        ),
    ];
    let mut all: Vec<_> = all.into_iter().map(|(name, kind)| (name, Event::new(kind))).collect();
    let of_others = Event { generation: 300, choice: 2, kind: Kind::Text("x".into()) };
    all.push(("text of another generation and choice", of_others));
    all
}

/// A frame as the gateway makes it, without the length before it.
fn pressed(alias: u32, events: &[Event], times: bool) -> Vec<u8> {
    let mut log = Log::new(1_790_000_000_000);
    for (event, at) in events.iter().zip((1_790_000_000_005..).step_by(12)) {
        log.append(event, at).expect("small");
    }
    let Found::Slice(slice) = log.after(0, u64::MAX) else { panic!("events were appended") };
    let frame = Press::new(Form::Frame).events(alias, slice, times);
    let bytes: Bytes = [&frame.header[..], &frame.body[..]].concat().into();
    let mut framing = wire::Framing::new(bytes.len());
    framing.push(&bytes);
    framing.pop().expect("delimited").expect("whole").to_vec()
}

fn frames() -> Vec<Vector> {
    let of = |name, bytes: Vec<u8>| {
        let json = frame(&proto::Frame::decode(&bytes[..]).expect("a frame"));
        Vector { name, bytes, json }
    };
    let mut all: Vec<Vector> =
        kinds().into_iter().map(|(name, event)| of(name, pressed(1, &[event], false))).collect();
    let events: Vec<Event> = kinds().into_iter().map(|(_, event)| event).collect();
    all.push(of("every kind in one frame", pressed(300, &events, false)));
    all.push(of("with times", pressed(7, &events, true)));
    let mut state = State::default();
    (1..).zip(events.iter().cloned()).for_each(|(seq, event)| state.apply(seq, event));
    state.generations.truncate(1);
    let snapshot =
        wire::snapshot_to_wire(&state, "9f3a6c1e".into(), events.len() as u64, Cause::Trimmed);
    let rewind = proto::Rewind {
        previous_epoch: "9f3a6c1e".into(),
        valid_through: 17,
        epoch: "0000000a".into(),
    };
    let ended = proto::End { reason: proto::end::Reason::Unsubscribed as i32, last_seq: 214 };
    for (name, news) in [
        ("snapshot", News::Snapshot(snapshot)),
        (
            "empty snapshot",
            News::Snapshot(proto::Snapshot { epoch: "9f3a6c1e".into(), ..Default::default() }),
        ),
        ("rewind", News::Rewind(rewind)),
        ("end", News::End(ended)),
        ("end without members", News::End(proto::End::default())),
    ] {
        let message = proto::Frame { alias: 2, news: Some(news), ..Default::default() };
        all.push(vector(name, &message, frame(&message)));
    }
    all
}

fn answers() -> Vec<Vector> {
    let head = proto::GenerationHead {
        index: 1,
        started: Some(proto::Started { id: "gen_2".into(), created_ms: 5, ..Default::default() }),
    };
    let all = [
        (
            "welcome",
            Answer::Welcome(proto::Welcome {
                session: "ses_1".into(),
                server: "tokenway/0.1.0".into(),
                max_streams: 64,
                frame_interval_ms: 16,
                heartbeat_ms: 250,
            }),
            json!({ "welcome": { "session": "ses_1", "server": "tokenway/0.1.0", "maxStreams": 64,
                "frameIntervalMs": 16, "heartbeatMs": 250 } }),
        ),
        (
            "subscribed",
            Answer::Subscribed(proto::Subscribed {
                alias: 1,
                epoch: "9f3a6c1e".into(),
                first_seq: 1,
                last_seq: 214,
                generations: vec![head],
                delivery: 1,
            }),
            json!({ "subscribed": { "alias": 1, "epoch": "9f3a6c1e", "firstSeq": 1, "lastSeq": 214,
                "generations": [ { "index": 1, "started": { "id": "gen_2", "createdMs": 5 } } ],
                "delivery": 1 } }),
        ),
        (
            "refused",
            Answer::Refused(proto::Refused {
                code: "epoch_changed".into(),
                message: "it is now 0000000a".into(),
                alias: 3,
                epoch: "0000000a".into(),
            }),
            json!({ "refused": { "code": "epoch_changed", "message": "it is now 0000000a",
                "alias": 3, "epoch": "0000000a" } }),
        ),
        ("done", Answer::Done(proto::Done {}), json!({ "done": {} })),
        (
            "published",
            Answer::Published(proto::Published {
                channel: "chat-42".into(),
                epoch: "9f3a6c1e".into(),
                seq: 215,
            }),
            json!({ "published": { "channel": "chat-42", "epoch": "9f3a6c1e", "seq": 215 } }),
        ),
        ("pong", Answer::Pong(proto::Pong { nonce: 9 }), json!({ "pong": { "nonce": 9 } })),
        (
            "go_away",
            Answer::GoAway(proto::GoAway { grace_ms: 5_000 }),
            json!({ "goAway": { "graceMs": 5_000 } }),
        ),
        (
            "closing",
            Answer::Closing(proto::Closing {
                code: "shutdown".into(),
                message: "the gateway stops".into(),
                retry: true,
            }),
            json!({ "closing": { "code": "shutdown", "message": "the gateway stops", "retry": true } }),
        ),
    ];
    let mut vectors: Vec<Vector> = all
        .into_iter()
        .map(|(name, body, mut json)| {
            json["request"] = 4.into();
            let control = proto::Control { request: 4, body: Some(body) };
            let body = Some(server_message::Body::Control(control));
            vector(name, &proto::ServerMessage { body }, json!({ "control": json }))
        })
        .collect();
    let event = proto::Event { text: "Hel".into(), ..Default::default() };
    let message =
        proto::Frame { alias: 1, first_seq: 17, events: vec![event], ..Default::default() };
    let json = json!({ "frame": frame(&message) });
    let body = Some(server_message::Body::Frame(message));
    vectors.push(vector("frame", &proto::ServerMessage { body }, json));
    vectors
}

fn requests() -> Vec<Vector> {
    let wanted = |alias, from| proto::Subscribe {
        alias,
        channel: "chat-42".into(),
        from,
        times: alias == 1,
        delivery: i32::from(alias == 5),
    };
    let cursor = proto::Cursor { epoch: "9f3a6c1e".into(), seq: 17 };
    let subscriptions = vec![
        wanted(1, Some(subscribe::From::Cursor(cursor))),
        wanted(2, Some(subscribe::From::Beginning(proto::Nothing {}))),
        wanted(3, Some(subscribe::From::Tail(proto::Nothing {}))),
        wanted(4, Some(subscribe::From::Snapshot(proto::Nothing {}))),
        wanted(5, None),
    ];
    let listed = json!([
        { "alias": 1, "channel": "chat-42", "cursor": { "epoch": "9f3a6c1e", "seq": 17 }, "times": true },
        { "alias": 2, "channel": "chat-42", "beginning": {} },
        { "alias": 3, "channel": "chat-42", "tail": {} },
        { "alias": 4, "channel": "chat-42", "snapshot": {} },
        { "alias": 5, "channel": "chat-42", "delivery": 1 }
    ]);
    let note = proto::Custom { r#type: "note".into(), data: Bytes::from_static(b"{\"a\":1}") };
    let all = [
        (
            "hello",
            Request::Hello(proto::Hello {
                protocol: 1,
                client: "tokenway-js/0.1.0".into(),
                max_streams: 64,
                frame_interval_ms: Some(0),
                tokens: vec!["a.b".into()],
                subscriptions,
            }),
            json!({ "hello": { "protocol": 1, "client": "tokenway-js/0.1.0", "maxStreams": 64,
                "frameIntervalMs": 0, "tokens": ["a.b"], "subscriptions": listed } }),
        ),
        (
            "subscribe",
            Request::Subscribe(wanted(6, Some(subscribe::From::Tail(proto::Nothing {})))),
            json!({ "subscribe": { "alias": 6, "channel": "chat-42", "tail": {} } }),
        ),
        (
            "unsubscribe",
            Request::Unsubscribe(proto::Unsubscribe { alias: 6 }),
            json!({ "unsubscribe": { "alias": 6 } }),
        ),
        (
            "cancel",
            Request::Cancel(proto::Cancel {
                channel: "chat-42".into(),
                generation: "gen_1".into(),
            }),
            json!({ "cancel": { "channel": "chat-42", "generation": "gen_1" } }),
        ),
        (
            "publish",
            Request::Publish(proto::Publish { channel: "chat-42".into(), custom: Some(note) }),
            json!({ "publish": { "channel": "chat-42",
                "custom": { "type": "note", "data": "eyJhIjoxfQ==" } } }),
        ),
        ("ping", Request::Ping(proto::Ping { nonce: 9 }), json!({ "ping": { "nonce": 9 } })),
    ];
    let mut vectors: Vec<Vector> = all
        .into_iter()
        .map(|(name, body, mut json)| {
            json["request"] = 300.into();
            vector(name, &proto::ClientMessage { request: 300, body: Some(body) }, json)
        })
        .collect();
    let hello = proto::Hello { protocol: 1, ..Default::default() };
    let least = proto::ClientMessage { request: 0, body: Some(Request::Hello(hello)) };
    vectors.push(vector("the least hello", &least, json!({ "hello": { "protocol": 1 } })));
    vectors
}

fn acks() -> Vec<Vector> {
    let ack = |alias, seq| proto::Ack { alias, seq };
    let of = |name, acks, json| vector(name, &proto::Acks { acks }, json);
    vec![
        of(
            "two subscriptions",
            vec![ack(1, 214), ack(300, 70_000)],
            json!({ "acks": [ { "alias": 1, "seq": 214 }, { "alias": 300, "seq": 70_000 } ] }),
        ),
        of("nothing seen yet", vec![ack(2, 0)], json!({ "acks": [ { "alias": 2 } ] })),
    ]
}

#[test]
fn acknowledgements_are_what_the_vectors_say() {
    hold("acks.json", &acks());
}

#[test]
fn frames_are_what_the_vectors_say() {
    hold("frame.json", &frames());
}

#[test]
fn answers_are_what_the_vectors_say() {
    hold("server_message.json", &answers());
}

#[test]
fn requests_are_what_the_vectors_say() {
    hold("client_message.json", &requests());
}

#[test]
fn what_is_described_by_hand_is_what_the_bytes_say() {
    // The frames' JSON is made from the message; this holds the making against a frame written out by hand.
    let text = Event { generation: 1, choice: 0, kind: Kind::Text("Hel".into()) };
    let bytes = pressed(7, &[text], true);
    assert_eq!(
        frame(&proto::Frame::decode(&bytes[..]).expect("a frame")),
        json!({ "alias": 7, "firstSeq": 1, "events": [ { "text": "Hel", "generation": 1 } ],
            "timeBaseMs": 1_790_000_000_000_u64, "timeDeltasMs": [5] })
    );
    assert_eq!(&bytes[..4], &[8, 7, 16, 1], "alias and first_seq come first");
}
