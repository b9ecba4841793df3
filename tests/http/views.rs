//! One end in every view: whatever becomes of the provider's stream, the app, the channel's state, its SSE view,
//! WebTransport and WebSocket tell the same typed end, and to whoever comes later and asks for a snapshot, too.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::{Value, json};
use tokenway::{
    event::{Event, Kind},
    native::{Client, Follow, Item, Target},
    sequence::From,
    snapshot::{End, State},
    transport::websocket::SUBPROTOCOL,
    wire::{
        self, Framing,
        proto::{self, client_message, control, end::Reason, server_message},
    },
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    gateway::{self, Tokenway, asked, body, header, send},
    soon, sse,
    sse::Sse,
};

/// What a subscription was told, to its end.
#[derive(Debug, Default, PartialEq)]
struct Told {
    events: Vec<(u64, Event)>,
    state: State,
    end: Option<(Reason, u64)>,
}

impl Told {
    fn take(&mut self, item: Item) {
        assert_eq!(self.end, None, "nothing follows the end");
        match item {
            Item::Events { first_seq, events, .. } => {
                for (seq, event) in (first_seq..).zip(events) {
                    self.state.apply(seq, event.clone());
                    self.events.push((seq, event));
                }
            }
            Item::Snapshot(snapshot) => {
                self.state = wire::snapshot_from_wire(snapshot).expect("the gateway's own message");
            }
            Item::Rewind { .. } => panic!("nobody took the channel over"),
            Item::End { reason, last_seq } => self.end = Some((reason, last_seq)),
        }
    }

    /// How the only generation ended.
    fn end(&self) -> Kind {
        match &self.state.generations[0].end {
            Some(End::Finished(end)) => Kind::Finished(end.clone()),
            Some(End::Failed(end)) => Kind::Failed(end.clone()),
            None => panic!("no end was told: {self:?}"),
        }
    }
}

async fn by_webtransport(gateway: &Tokenway, channel: &str, from: From) -> Told {
    let target = Target::discover(&gateway.url(""), None).await.expect("a gateway");
    let mut client = Client::connect(target).await.expect("it lets us in");
    client.subscribe(channel, from, false);
    let mut told = Told::default();
    while told.end.is_none() {
        told.take(soon("WebTransport tells more", client.next()).await.expect("no refusal").1);
    }
    told
}

async fn by_websocket(gateway: &Tokenway, channel: &str, from: From) -> Told {
    let url = format!("ws://{}/v1/connect", gateway.addr);
    let mut request = url.into_client_request().expect("a URL");
    let protocol = SUBPROTOCOL.parse().expect("a header value");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = soon("a WebSocket", connect_async(request)).await.expect("connects");
    let mut follow = Follow::new(from, false);
    let subscriptions = vec![follow.subscribe(1, channel)];
    let hello = proto::Hello { protocol: 1, subscriptions, ..Default::default() };
    let body = Some(client_message::Body::Hello(hello));
    let mut bytes = BytesMut::new();
    wire::delimit(&proto::ClientMessage { request: 1, body }, &mut bytes);
    socket.send(Message::Binary(bytes.freeze())).await.expect("connected");

    let mut framing = Framing::new(1 << 20);
    let mut told = Told::default();
    while told.end.is_none() {
        match soon("WebSocket tells more", socket.next()).await.expect("open").expect("unbroken") {
            Message::Binary(bytes) => framing.push(&bytes),
            _ => continue,
        };
        while let Some(message) = framing.pop().expect("delimited") {
            let message = proto::ServerMessage::decode(message).expect("a server message");
            match message.body.expect("control or frame") {
                server_message::Body::Frame(frame) => {
                    follow.frame(frame).expect("no gap").into_iter().for_each(|it| told.take(it));
                }
                server_message::Body::Control(answer) => match answer.body.expect("an answer") {
                    control::Body::Subscribed(answer) => {
                        let early = follow.subscribed(&answer).expect("no gap");
                        early.into_iter().for_each(|item| told.take(item));
                    }
                    control::Body::Welcome(_) => {}
                    other => panic!("neither welcome nor subscribed: {other:?}"),
                },
            }
        }
    }
    told
}

/// What the app is told: the error, if it is one, and the cursor where it stands in a stream.
async fn by_the_app(response: reqwest::Response) -> (Option<Value>, Option<String>) {
    if response.status() != 200 {
        return (Some(body(response).await["error"].clone()), None);
    }
    let items = Sse::of(response).rest().await;
    let last = items.last().expect("at least an end");
    let error = (last.data != "[DONE]").then(|| last.json()["error"].clone());
    assert_eq!(items.iter().any(|item| item.data == "[DONE]"), error.is_none(), "{items:?}");
    (error, last.id.clone())
}

/// Calls the simulator and holds all views against each other. Gives the end as the SSE view has it.
async fn ended(gateway: &Tokenway, simulator: Value, cancelled: bool) -> sse::Item {
    let mut ask = asked(true);
    ask["model"] = "sim".into();
    ask["simulator"] = simulator;
    let response = send(gateway.chat(ask)).await;
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    let generation = header(response.headers(), "tokenway-generation").to_owned();
    let cancel = async {
        if cancelled {
            let path = format!("/v1/channels/{channel}/cancel");
            assert_eq!(send(gateway.post(&path, "{}")).await.status(), 200);
        }
    };
    let (app, events, webtransport, websocket, ()) = tokio::join!(
        by_the_app(response),
        async { gateway.view(&channel).await.rest().await },
        by_webtransport(gateway, &channel, From::Beginning),
        by_websocket(gateway, &channel, From::Beginning),
        cancel,
    );
    let (error, id) = app;
    let end = events.last().expect("a generation has events");
    let last_seq = end.seq();

    assert_eq!(webtransport, websocket);
    assert_eq!(webtransport.end, Some((Reason::Complete, last_seq)));
    let told: Vec<_> = webtransport
        .events
        .iter()
        .map(|(seq, event)| {
            let (name, data) = wire::json::event_json(*seq, &generation, event);
            (name.to_owned(), serde_json::from_str::<Value>(&data).expect("JSON"))
        })
        .collect();
    let seen: Vec<_> = events.iter().map(|item| (item.event.clone(), item.json())).collect();
    assert_eq!(told, seen, "the sessions and the SSE view");
    let terminal: Vec<_> =
        webtransport.events.iter().filter(|(_, event)| event.is_terminal()).collect();
    assert_eq!(terminal.len(), 1, "told once");
    assert_eq!((terminal[0].0, &terminal[0].1.kind), (last_seq, &webtransport.end()));

    for late in [
        by_webtransport(gateway, &channel, From::Snapshot).await,
        by_websocket(gateway, &channel, From::Snapshot).await,
    ] {
        assert_eq!(late.events, [], "everything is in the snapshot");
        assert_eq!((late.end(), late.end), (webtransport.end(), webtransport.end));
    }

    let state = gateway.ended(&channel).await;
    assert_eq!(state["state"], end.event);
    if id.is_some() {
        assert_eq!(id, end.id, "who was told of the end has seen the end");
    }
    match end.event.as_str() {
        "finished" => {
            assert_eq!(error, None);
            assert_eq!(state["finish_reason"], end.json()["reason"]);
        }
        _ => {
            for member in ["code", "message", "phase", "status"] {
                assert_eq!(state["error"].get(member), end.json().get(member), "{member}");
            }
            let error = error.expect("the app's stream fails, too");
            assert_eq!(error["message"], end.json()["message"], "{error}");
            // What the provider itself said keeps the provider's code.
            if end.json()["code"] != "upstream_error" {
                assert_eq!(error["code"], end.json()["code"]);
            }
        }
    }
    end.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_the_same_in_every_view() {
    let (gateway, _upstream) = gateway::with("idle: 300ms", |_| {}).await;
    for (simulator, event, member, said) in [
        (json!({ "scenario": "text", "tokens": 40 }), "finished", "reason", json!("stop")),
        (json!({ "scenario": "tools" }), "finished", "reason", json!("tool_calls")),
        (json!({ "scenario": "cut", "at": 5 }), "failed", "code", json!("upstream_cut")),
        (json!({ "scenario": "reset", "at": 5 }), "failed", "code", json!("upstream_cut")),
        (json!({ "scenario": "stall", "at": 5 }), "failed", "phase", json!("idle")),
        (json!({ "scenario": "error-middle", "at": 5 }), "failed", "code", json!("upstream_error")),
        (json!({ "status": 503 }), "failed", "status", json!(503)),
    ] {
        let end = ended(&gateway, simulator.clone(), false).await;
        assert_eq!((end.event.as_str(), &end.json()[member]), (event, &said), "{simulator}");
    }
    let end = ended(&gateway, json!({ "scenario": "long", "tokens_per_second": 50 }), true).await;
    assert_eq!((end.event.as_str(), &end.json()["code"]), ("failed", &json!("cancelled")));
    gateway.stop().await;
}
