//! Delivery over a real WebSocket on loopback.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{Checked, Told, Viewer, begin, channels, finished, named, request};
use tokenway::{
    channel::Channels,
    event::Event,
    ident::Owner,
    sequence::From,
    session::{self, Session, Settings, Shutdown},
    transport::{Transport, websocket},
    wire::{
        Framing,
        proto::{self, client_message::Body as Request, control::Body as Answer, server_message},
    },
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;

struct Gateway {
    address: SocketAddr,
    begins: CancellationToken,
}

impl Gateway {
    async fn start(channels: &Arc<Channels>) -> Self {
        let begins = CancellationToken::new();
        let upgrade = {
            let (channels, begins) = (Arc::clone(channels), begins.clone());
            move |upgrade: WebSocketUpgrade| {
                let (channels, begins) = (Arc::clone(&channels), begins.clone());
                async move {
                    websocket::prepare(upgrade).on_upgrade(async move |socket| {
                        let socket = websocket::Socket::new(socket);
                        let form = socket.form();
                        let owner = Owner::default();
                        let session = Session::new(Settings::default(), channels, owner, form);
                        let grace = Duration::from_millis(20);
                        session::run(socket, session, Shutdown { begins, grace }).await;
                    })
                }
            }
        };
        let app = Router::new().route("/v1/connect", get(upgrade));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, begins }
    }
}

/// A client over a socket; it keeps no state of its subscriptions.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    framing: Framing,
}

impl Client {
    async fn connect(gateway: &Gateway) -> Self {
        let url = format!("ws://{}/v1/connect", gateway.address);
        let mut request = url.into_client_request().expect("a URL");
        let protocol = websocket::SUBPROTOCOL.parse().expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, response) = tokio_tungstenite::connect_async(request).await.expect("connects");
        assert_eq!(response.headers()["sec-websocket-protocol"], websocket::SUBPROTOCOL);
        Self { socket, framing: Framing::new(64 << 20) }
    }

    /// Sends messages as one binary message.
    async fn send(&mut self, messages: &[Bytes]) {
        let mut run = BytesMut::new();
        for message in messages {
            prost::encoding::encode_varint(message.len() as u64, &mut run);
            run.extend_from_slice(message);
        }
        self.socket.send(Message::Binary(run.freeze())).await.expect("connected");
    }

    async fn next(&mut self) -> Option<server_message::Body> {
        loop {
            if let Some(message) = self.framing.pop().expect("delimited") {
                let message = proto::ServerMessage::decode(message).expect("a server message");
                return Some(message.body.expect("control or frame"));
            }
            match self.socket.next().await?.ok()? {
                Message::Binary(bytes) => {
                    self.framing.push(&bytes);
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Takes in what arrives within `time`.
    async fn pump(&mut self, time: Duration, viewer: &mut Viewer, told: &[Told]) {
        let until = tokio::time::Instant::now() + time;
        while let Ok(message) = tokio::time::timeout_at(until, self.next()).await {
            match message.expect("nobody but the test cuts") {
                server_message::Body::Control(control) => {
                    viewer.control(control.body.expect("an answer"), told);
                }
                server_message::Body::Frame(frame) => viewer.frame(frame, told),
            }
        }
    }
}

fn hello() -> Bytes {
    request(1, Request::Hello(proto::Hello { protocol: 1, ..Default::default() }))
}

#[tokio::test]
async fn over_many_cuts_each_event_comes_once_and_in_order() {
    let cuts = if std::env::var_os("TOKENWAY_SOAK").is_some() { 1_000 } else { 50 };
    let mut random = StdRng::seed_from_u64(11);
    let channels = channels(1 << 20);
    let gateway = Gateway::start(&channels).await;
    let mut told: Vec<Told> =
        (0..4).map(|n| Told::new(named(&channels, &format!("chat-{n}")))).collect();
    let mut viewer = Viewer::default();
    for at in 0..told.len() {
        viewer.add(Checked::new(at, [From::Beginning, From::Snapshot][at % 2]));
    }
    for _ in 0..cuts {
        let mut client = Client::connect(&gateway).await;
        client.send(&[viewer.hello(&told, 0, 5)]).await;
        told.iter_mut().for_each(|one| one.say(&mut random));
        let time = Duration::from_micros(random.random_range(0..20_000));
        client.pump(time, &mut viewer, &told).await;
    }
    let mut client = Client::connect(&gateway).await;
    client.send(&[viewer.hello(&told, 0, 5)]).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !viewer.is_caught_up(&told) {
        assert!(tokio::time::Instant::now() < until, "everything said is told in the end");
        client.pump(Duration::from_millis(5), &mut viewer, &told).await;
    }
    viewer.subscriptions.values().for_each(|one| one.assert_caught_up(&told[one.channel]));
}

#[tokio::test]
async fn a_tick_is_one_message_and_requests_may_come_in_one_too() {
    let channels = channels(1 << 20);
    let gateway = Gateway::start(&channels).await;
    let mut wanted = vec![hello()];
    for (alias, id) in (1..).zip(["a", "b", "c"]) {
        let channel = named(&channels, id);
        begin(&channel, "gen").append(&mut [Event::text("hi"), finished()]).expect("open");
        let from = Some(proto::subscribe::From::Beginning(proto::Nothing {}));
        let subscribe =
            proto::Subscribe { alias, channel: id.into(), from, times: true, delivery: 0 };
        wanted.push(request(alias.into(), Request::Subscribe(subscribe)));
    }
    let mut client = Client::connect(&gateway).await;
    client.send(&wanted).await;
    let mut frames = 0;
    let mut messages_with_frames = 0;
    while frames < 3 {
        let Message::Binary(bytes) = client.socket.next().await.expect("connected").expect("whole")
        else {
            continue;
        };
        client.framing.push(&bytes);
        let before = frames;
        while let Some(message) = client.framing.pop().expect("delimited") {
            let message = proto::ServerMessage::decode(message).expect("a server message");
            if let Some(server_message::Body::Frame(frame)) = message.body {
                assert_eq!((frame.first_seq, frame.events.len()), (1, 3));
                assert_eq!(frame.time_deltas_ms.len(), 3);
                frames += 1;
            }
        }
        assert!(!client.framing.is_mid_message(), "a binary message holds whole messages");
        messages_with_frames += usize::from(frames > before);
    }
    // The first may leave before the other requests were read; what is due together leaves together.
    assert!(messages_with_frames <= 2, "{messages_with_frames}");
}

#[tokio::test]
async fn what_is_not_the_protocol_is_answered_with_the_reason() {
    let channels = channels(1 << 20);
    let gateway = Gateway::start(&channels).await;
    for (message, code) in [
        (Message::Text("hello".into()), "bad_message"),
        (Message::Binary(Bytes::from_static(&[3, 0xff, 0xff, 0xff])), "bad_message"),
        (Message::Binary(Bytes::from_static(&[0xff; 10])), "bad_message"),
    ] {
        let mut client = Client::connect(&gateway).await;
        client.socket.send(message).await.expect("connected");
        let Some(server_message::Body::Control(control)) = client.next().await else {
            panic!("a last message");
        };
        match control.body {
            Some(Answer::Closing(closing)) => assert_eq!(closing.code, code),
            other => panic!("{other:?}"),
        }
        assert!(client.next().await.is_none(), "and then the connection ends");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_little_and_is_told_the_rest_later() {
    let channels = channels(64 << 20);
    let gateway = Gateway::start(&channels).await;
    let channel = named(&channels, "big");
    let mut producer = begin(&channel, "gen");
    let mut client = Client::connect(&gateway).await;
    let from = Some(proto::subscribe::From::Beginning(proto::Nothing {}));
    let subscribe =
        proto::Subscribe { alias: 1, channel: "big".into(), from, times: false, delivery: 0 };
    client.send(&[hello(), request(1, Request::Subscribe(subscribe))]).await;
    for _ in 0..400 {
        let mut events: Vec<Event> = (0..16).map(|_| Event::text("x".repeat(2_048))).collect();
        producer.append(&mut events).expect("within retention");
        tokio::task::yield_now().await;
    }
    let mut last = 0;
    while last < channel.head() {
        let next = tokio::time::timeout(Duration::from_secs(10), client.next()).await;
        match next.expect("in time").expect("connected") {
            server_message::Body::Frame(frame) => {
                assert_eq!(frame.first_seq, last + 1);
                last += frame.events.len() as u64;
            }
            server_message::Body::Control(_) => {}
        }
    }
}

#[tokio::test]
async fn a_stopping_gateway_says_so() {
    let channels = channels(1 << 20);
    let gateway = Gateway::start(&channels).await;
    let mut client = Client::connect(&gateway).await;
    client.send(&[hello()]).await;
    let mut said = Vec::new();
    while let Some(server_message::Body::Control(control)) = client.next().await {
        said.push(control.body.expect("an answer"));
        gateway.begins.cancel();
    }
    let [Answer::Welcome(_), Answer::GoAway(_), Answer::Closing(closing)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!((closing.code.as_str(), closing.retry), ("shutdown", true));
}
