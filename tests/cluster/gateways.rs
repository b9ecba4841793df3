//! Whole gateways that share a NATS: whatever an app, a viewer or an operator asks of one of them, any other does as well.

use std::{process::Command, time::Duration};

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokenway::{
    transport::websocket,
    wire::{
        Framing,
        proto::{self, client_message::Body as Request, control::Body as Answer, server_message},
    },
};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    gateway::{Gateway, client},
    nats::Nats,
    node::{ENDS_WITHIN, LEASE},
    seen::{Place, World, replay, sse},
    support::request,
};

const SOON: Duration = Duration::from_secs(5);

/// Within so long others end what a gateway ran that is gone.
const LEASE_AND_A_SECOND: Duration = LEASE.saturating_add(Duration::from_secs(1));

struct Three {
    nats: Nats,
    nodes: [Gateway; 3],
    http: reqwest::Client,
}

impl Three {
    fn start() -> Option<Self> {
        let nats = Nats::start()?;
        let url = nats.url();
        let nodes = [0, 1, 2].map(|_| Gateway::start(&url));
        Some(Self { nats, nodes, http: client() })
    }

    /// Begins a generation that takes a while, at a node, on a channel.
    async fn begin(&self, node: usize, channel: &str) -> Value {
        let answer = self.ask(node, channel).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.json().await.expect("JSON")
    }

    async fn ask(&self, node: usize, channel: &str) -> reqwest::Response {
        let body =
            json!({ "model": "sim-long", "messages": [{ "role": "user", "content": "go" }] });
        let call = self.http.post(format!("{}/v1/chat/completions", self.nodes[node].url));
        let call = call.header("prefer", "respond-async").header("tokenway-channel", channel);
        call.json(&body).send().await.expect("it answers")
    }

    async fn post(&self, node: usize, path: &str, body: Value) -> (StatusCode, Value) {
        let call = self.http.post(format!("{}{path}", self.nodes[node].url)).json(&body);
        let answer = call.send().await.expect("it answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn get(&self, node: usize, path: &str) -> (StatusCode, String) {
        let answer = self.http.get(format!("{}{path}", self.nodes[node].url)).send().await;
        let answer = answer.expect("it answers");
        (answer.status(), answer.text().await.expect("text"))
    }

    /// Waits until a node answers so, for so long.
    async fn until(&self, node: usize, path: &str, status: StatusCode, limit: Duration) {
        let began = Instant::now();
        while self.get(node, path).await.0 != status {
            assert!(began.elapsed() < limit, "{path} does not come to answer {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn cli(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenway")).args(arguments).output();
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_gateway_takes_any_request() {
    let Some(three) = Three::start() else { return };
    let world = World::default();
    let begun = three.begin(0, "chat").await;
    let generation = begun["generation"].as_str().expect("an id").to_owned();

    // Seen from another, and gone on with at the third.
    let url = format!("{}/v1/channels/chat/events", three.nodes[1].url);
    let answer = three.http.get(url).send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
    let mut place = Place::new(&world, "chat", 0);
    let (mut cursor, mut body) = (String::new(), answer.bytes_stream());
    let mut held = String::new();
    while !held.contains(".20\n") {
        held += &String::from_utf8_lossy(&body.next().await.expect("it goes on").expect("bytes"));
    }
    for event in held.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
            let name = field("event: ").unwrap_or_default();
            place.take(Some(id), name, serde_json::from_str(data).expect("JSON"));
            cursor = id.to_owned();
        }
    }
    drop((place, body));
    let rest = replay(&three.http, &three.nodes[2].url, "chat", &cursor).await.expect("it goes on");
    let mut place = Place::new(&world, "chat", crate::seen::seq_of(&cursor));
    rest.iter().for_each(|(id, name, data)| place.take(id.as_deref(), name, data.clone()));

    let listed = cli(&["channels", "list", "--json", "--url", &three.nodes[1].url]);
    assert!(listed.contains(r#""state":"running""#), "{listed}");

    let note = json!({ "type": "note", "data": { "from": "b" } });
    let (status, published) = three.post(1, "/v1/channels/chat/events", note).await;
    assert_eq!((status, &published["epoch"]), (StatusCode::OK, &begun["epoch"]));

    let unknown = json!({ "generation": "gen_unknown" });
    let (status, refused) = three.post(2, "/v1/channels/chat/cancel", unknown).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("generation_not_found"))
    );
    let named = json!({ "generation": generation });
    let (status, state) = three.post(2, "/v1/channels/chat/cancel", named).await;
    assert_eq!(status, StatusCode::OK);
    let ended = &state["generations"][0];
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("cancelled")));
    let text = ended["text"].as_str().expect("text").to_owned();
    assert!(!text.is_empty());

    // The command line, at any of them.
    let [first, second, third] = [0, 1, 2].map(|node| three.nodes[node].url.as_str());
    for url in [first, second, third] {
        let listed = cli(&["channels", "list", "--json", "--url", url]);
        assert!(listed.contains(r#""channel":"chat""#), "{url}: {listed}");
        let state = cli(&["channels", "inspect", "chat", "--json", "--url", url]);
        let state: Value = serde_json::from_str(&state).expect("JSON");
        assert_eq!(state["generations"][0]["text"], text.as_str(), "{url}");
    }
    let (_, metrics) = three.get(0, "/metrics").await;
    assert!(metrics.contains("\ntokenway_store_nodes 3\n"), "{metrics}");
    cli(&["channels", "delete", "chat", "--url", second]);
    for node in 0..3 {
        three.until(node, "/v1/channels/chat", StatusCode::NOT_FOUND, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_begins_beside_what_runs_at_another_gateway_runs_there_and_is_answered_here() {
    let Some(three) = Three::start() else { return };
    three.begin(0, "chat").await;
    let accepted = three.begin(2, "chat").await;
    let call = |stream: bool| {
        let messages = json!([{ "role": "user", "content": "go" }]);
        let body = json!({ "model": "sim-text", "max_tokens": 20, "stream": stream, "messages": messages });
        let call = three.http.post(format!("{}/v1/chat/completions", three.nodes[1].url));
        call.header("tokenway-channel", "chat").json(&body).send()
    };
    let whole = call(false).await.expect("it answers");
    assert_eq!(whole.status(), StatusCode::OK);
    let whole: Value = whole.json().await.expect("JSON");
    let answer = call(true).await.expect("it answers");
    assert_eq!(answer.status(), StatusCode::OK);
    let (mut text, mut done) = (String::new(), false);
    let read = sse(answer, |_, _, data| match data {
        "[DONE]" => done = true,
        data => {
            let chunk: Value = serde_json::from_str(data).expect("JSON");
            text += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        }
    });
    read.await.expect("it ends in order");
    assert!(done && !text.is_empty());
    assert_eq!(whole["choices"][0]["message"]["content"], text.as_str());
    // All of them ran where the first one does, on one log.
    let (_, state) = three.get(1, "/v1/channels/chat").await;
    let state: Value = serde_json::from_str(&state).expect("JSON");
    let generations = state["generations"].as_array().expect("a list");
    assert_eq!(generations.len(), 4, "{state}");
    assert_eq!(generations[0]["state"], "running", "{state}");
    assert_eq!(generations[1]["generation"], accepted["generation"]);
    for generation in &generations[2..] {
        assert_eq!((&generation["state"], &generation["text"]), (&json!("finished"), &json!(text)));
    }
    let (_, metrics) = three.get(0, "/metrics").await;
    assert!(metrics.contains("tokenway_generations_started_total{model=\"*\"} 4"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_at_another_gateway_is_stopped_and_deleted_in_one() {
    let Some(three) = Three::start() else { return };
    three.begin(0, "chat").await;
    let url = format!("{}/v1/channels/chat", three.nodes[1].url);
    let running = three.http.delete(&url).send().await.expect("it answers");
    assert_eq!(running.status(), StatusCode::CONFLICT);
    let deleted = three.http.delete(format!("{url}?cancel=true")).send().await;
    assert_eq!(deleted.expect("it answers").status(), StatusCode::NO_CONTENT);
    for node in 0..3 {
        three.until(node, "/v1/channels/chat", StatusCode::NOT_FOUND, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_it_says_so_and_begins_nothing() {
    let Some(mut three) = Three::start() else { return };
    assert_eq!(three.get(1, "/readyz").await.0, StatusCode::OK);
    three.nats.kill();
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    three.until(1, "/readyz", unavailable, ENDS_WITHIN).await;
    assert_eq!(three.get(1, "/healthz").await.0, StatusCode::OK, "restarting it would not help");
    let (_, metrics) = three.get(1, "/metrics").await;
    assert!(metrics.contains("\ntokenway_store_degraded 1\n"));
    let refused = three.ask(1, "chat").await;
    assert_eq!(refused.status(), unavailable);
    let refused: Value = refused.json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], "store_unavailable", "{refused}");
    three.nats.revive();
    three.until(1, "/readyz", StatusCode::OK, SOON).await;
    three.begin(1, "chat").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_ends_what_it_runs_and_the_others_go_on() {
    let Some(mut three) = Three::start() else { return };
    let world = World::default();
    let body = json!({ "model": "sim-text", "max_tokens": 40, "stream": true, "messages": [{ "role": "user", "content": "go" }] });
    let call = three.http.post(format!("{}/v1/chat/completions", three.nodes[0].url)).json(&body);
    let answer = call.header("tokenway-channel", "chat").send().await.expect("it answers");
    let url = format!("{}/v1/channels/chat/events", three.nodes[1].url);
    let viewer = three.http.get(url).send().await.expect("it answers");
    three.nodes[0].stop();
    let mut done = false;
    sse(answer, |_, _, data| done |= data == "[DONE]").await.expect("it ends in order");
    assert!(done, "what runs gets its time");
    let mut place = Place::new(&world, "chat", 0);
    let mut ended = false;
    let mut body = viewer.bytes_stream();
    let mut held = String::new();
    while !ended {
        held += &String::from_utf8_lossy(&body.next().await.expect("it goes on").expect("bytes"));
        ended = held.contains("event: finished");
    }
    let told = replay(&three.http, &three.nodes[2].url, "chat", "0").await.expect("it is there");
    told.iter().for_each(|(id, name, data)| place.take(id.as_deref(), name, data.clone()));
    assert_eq!(told.last().expect("events").1, "finished");
    // Another one goes on with the conversation.
    three.begin(2, "chat").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_ran_ends_at_the_others_within_the_lease_and_a_second() {
    let Some(mut three) = Three::start() else { return };
    three.begin(0, "chat").await;
    // Some look on, and of some nobody does.
    three.begin(0, "unseen").await;
    let url = format!("{}/v1/channels/chat/events", three.nodes[1].url);
    let mut viewer = three.http.get(url).send().await.expect("it answers").bytes_stream();
    let mut held = String::new();
    while !held.contains(".20\n") {
        held += &String::from_utf8_lossy(&viewer.next().await.expect("more").expect("bytes"));
    }
    three.nodes[0].kill();
    let killed = Instant::now();
    while !held.contains("event: failed") {
        held += &String::from_utf8_lossy(&viewer.next().await.expect("more").expect("bytes"));
    }
    let took = killed.elapsed();
    println!("its viewers are told {took:?} after the kill, with a lease of {LEASE:?}");
    assert!(took < LEASE_AND_A_SECOND, "{took:?}");
    for channel in ["chat", "unseen"] {
        let mut states = Vec::new();
        for node in [1, 2] {
            let state = loop {
                let (status, state) = three.get(node, &format!("/v1/channels/{channel}")).await;
                assert_eq!(status, StatusCode::OK);
                let state: Value = serde_json::from_str(&state).expect("JSON");
                match state["generations"][0]["state"] == "running" {
                    true => {
                        assert!(killed.elapsed() < LEASE_AND_A_SECOND, "{channel} still runs");
                    }
                    false => break state,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert_eq!(state["generations"][0]["error"]["code"], "gateway_lost", "{state}");
            states.push(state);
        }
        assert_eq!(states[0], states[1], "they say the same");
    }
    // It goes on at another.
    three.begin(1, "chat").await;
}

/// Reads on until something was said; all of it is held.
async fn until_said(
    viewer: &mut (impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    held: &mut String,
    what: &str,
) {
    while !held.contains(what) {
        let next = tokio::time::timeout(2 * SOON, viewer.next()).await;
        let next = next.unwrap_or_else(|_| panic!("{what} does not come: {held}"));
        *held += &String::from_utf8_lossy(&next.expect("it goes on").expect("bytes"));
    }
}

/// Takes in what a viewer was told. Says how often it was rewound.
fn take_all(world: &World, held: &str) -> u32 {
    let mut place = Place::new(world, "chat", 0);
    for event in held.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        if let Some(data) = field("data: ") {
            let name = field("event: ").unwrap_or_default();
            place.take(field("id: "), name, serde_json::from_str(data).expect("JSON"));
        }
    }
    place.rewinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_stopped_for_longer_than_its_lease_finds_that_others_went_on() {
    let Some(three) = Three::start() else { return };
    let world = World::default();
    three.begin(0, "chat").await;
    let mut viewers = Vec::new();
    for node in [0, 1] {
        let url = format!("{}/v1/channels/chat/events", three.nodes[node].url);
        let answer = three.http.get(url).send().await.expect("it answers");
        viewers.push((answer.bytes_stream(), String::new()));
    }
    for (viewer, held) in &mut viewers {
        until_said(viewer, held, ".20\n").await;
    }
    three.nodes[0].signal("-STOP");
    let stopped = Instant::now();
    let (viewer, held) = &mut viewers[1];
    until_said(viewer, held, "event: failed").await;
    let took = stopped.elapsed();
    println!("its viewers elsewhere are told {took:?} after the stop, with a lease of {LEASE:?}");
    assert!(took < LEASE_AND_A_SECOND, "{took:?}");
    // Longer than anybody would wait for it.
    tokio::time::sleep_until(stopped + 2 * LEASE).await;
    three.begin(1, "chat").await;
    three.nodes[0].signal("-CONT");
    let (viewer, held) = &mut viewers[0];
    until_said(viewer, held, "event: rewind").await;
    until_said(viewer, held, ".60\n").await;
    let (status, _) = three.post(2, "/v1/channels/chat/cancel", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    for (viewer, held) in &mut viewers {
        until_said(viewer, held, "cancelled").await;
        assert!(take_all(&world, held) >= 1, "it is told of the other writer");
    }
    let mut first = None;
    for node in &three.nodes {
        let told = replay(&three.http, &node.url, "chat", "0").await.expect("it is there");
        let mut place = Place::new(&world, "chat", 0);
        told.iter().for_each(|(id, name, data)| place.take(id.as_deref(), name, data.clone()));
        let first = first.get_or_insert_with(|| told.clone());
        assert_eq!(*first, told, "all say the same");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_nats_is_in_no_log() {
    let Some(mut nats) = Nats::that_asks(Some(("teller", "hushhush"))) else { return };
    let gateway = Gateway::that_logs(&nats.url(), "debug");
    // It comes back to it, too.
    nats.revive();
    let said = |what: &str| gateway.log.lock().matches(what).count();
    let began = Instant::now();
    while said("NATS is there") < 2 || said("attempting connection") < 2 {
        assert!(began.elapsed() < SOON, "it does not come back: {}", gateway.log.lock());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = gateway.log.lock();
    assert!(!log.contains("hushhush"), "{log}");
}

/// A session of the protocol's, over a WebSocket.
struct Session {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    framing: Framing,
}

impl Session {
    async fn connect(url: &str) -> Self {
        let url = format!("{}/v1/connect", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a URL");
        let protocol = websocket::SUBPROTOCOL.parse().expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("connects");
        let mut session = Self { socket, framing: Framing::new(64 << 20) };
        session.send(1, Request::Hello(proto::Hello { protocol: 1, ..Default::default() })).await;
        session
    }

    async fn send(&mut self, number: u64, body: Request) {
        let message = request(number, body);
        let mut run = BytesMut::new();
        prost::encoding::encode_varint(message.len() as u64, &mut run);
        run.extend_from_slice(&message);
        self.socket.send(Message::Binary(run.freeze())).await.expect("connected");
    }

    /// What a request is answered with.
    async fn answer(&mut self, number: u64) -> Answer {
        let answer = async {
            loop {
                if let Some(message) = self.framing.pop().expect("delimited") {
                    let message = proto::ServerMessage::decode(message).expect("a message");
                    match message.body.expect("control or frame") {
                        server_message::Body::Control(control) if control.request == number => {
                            return control.body.expect("an answer");
                        }
                        _ => continue,
                    }
                }
                if let Message::Binary(bytes) =
                    self.socket.next().await.expect("connected").expect("connected")
                {
                    self.framing.push(&bytes);
                }
            }
        };
        tokio::time::timeout(SOON, answer).await.expect("it is answered")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_reaches_what_another_gateway_writes() {
    let Some(three) = Three::start() else { return };
    let begun = three.begin(0, "chat").await;
    let mut session = Session::connect(&three.nodes[1].url).await;
    for (number, n) in [(2, 0), (3, 1), (4, 2)] {
        let custom = proto::Custom { r#type: "note".into(), data: n.to_string().into() };
        let publish = proto::Publish { channel: "chat".into(), custom: Some(custom) };
        session.send(number, Request::Publish(publish)).await;
    }
    let mut seqs = Vec::new();
    for number in [2, 3, 4] {
        match session.answer(number).await {
            Answer::Published(published) => {
                assert_eq!(published.epoch, begun["epoch"].as_str().expect("an epoch"));
                seqs.push(published.seq);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(seqs.is_sorted(), "in the order in which it was asked: {seqs:?}");
    let cancel = |generation: &str| {
        let (channel, generation) = ("chat".into(), generation.into());
        Request::Cancel(proto::Cancel { channel, generation })
    };
    session.send(5, cancel("gen_unknown")).await;
    assert!(matches!(session.answer(5).await, Answer::Refused(it) if it.code == "bad_request"));
    session.send(6, cancel("")).await;
    assert_eq!(session.answer(6).await, Answer::Done(proto::Done {}));
    let (_, state) = three.post(2, "/v1/channels/chat/cancel", json!({})).await;
    assert_eq!(state["generations"][0]["error"]["code"], "cancelled", "{state}");
}
