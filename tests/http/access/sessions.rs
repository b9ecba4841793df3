//! Sessions with tokens: in hello, in the URL, added later, expired; over WebTransport and WebSocket.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::json;
use tokenway::{
    native::{Client, ClientError, Item, Target},
    sequence::From,
    wire::{
        Framing,
        proto::{
            self, client_message::Body as Request, control::Body as Answer, end::Reason,
            frame::News, server_message::Body,
        },
    },
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{OTHER, WEB, keyed, keyed_with, spoken_on, token};
use crate::{gateway::Tokenway, soon};

/// A session over WebSocket.
pub(super) struct Session {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    framing: Framing,
}

impl Session {
    pub(super) async fn connect(gateway: &Tokenway, query: &str, tokens: &[&str]) -> Self {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        Self::greeted(gateway, query, proto::Hello { tokens, ..proto::Hello::default() }).await
    }

    /// With a hello of the test's own.
    pub(super) async fn greeted(gateway: &Tokenway, query: &str, hello: proto::Hello) -> Self {
        let url = format!("ws://{}/v1/connect{query}", gateway.addr);
        let mut request = url.into_client_request().expect("a URL");
        let protocol = "tokenway.v1".parse().expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("it connects");
        let mut session = Self { socket, framing: Framing::new(1 << 20) };
        session.say(Request::Hello(proto::Hello { protocol: 1, ..hello })).await;
        session
    }

    pub(super) async fn say(&mut self, body: Request) {
        let message = proto::ClientMessage { request: 7, body: Some(body) };
        let mut run = BytesMut::new();
        message.encode_length_delimited(&mut run).expect("a BytesMut grows");
        self.socket.send(Message::Binary(run.freeze())).await.expect("connected");
    }

    pub(super) async fn next(&mut self) -> Option<Body> {
        loop {
            if let Some(message) = self.framing.pop().expect("delimited") {
                let message: Bytes = message;
                return proto::ServerMessage::decode(message).expect("a message").body;
            }
            match soon("something comes", self.socket.next()).await?.ok()? {
                Message::Binary(bytes) => {
                    self.framing.push(&bytes);
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next answer; frames are passed over.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            match self.next().await.expect("the session goes on") {
                Body::Control(control) => return control.body.expect("an answer"),
                Body::Frame(_) => {}
            }
        }
    }

    pub(super) async fn subscribe(&mut self, alias: u32, channel: &str) -> Result<(), String> {
        let subscribe = proto::Subscribe { alias, channel: channel.into(), ..Default::default() };
        self.say(Request::Subscribe(subscribe)).await;
        match self.answer().await {
            Answer::Subscribed(_) => Ok(()),
            Answer::Refused(refused) => Err(refused.code),
            other => panic!("{other:?}"),
        }
    }

    async fn closing(&mut self) -> String {
        match self.answer().await {
            Answer::Closing(closing) => format!("{}: {}", closing.code, closing.message),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_what_its_tokens_say() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-1").await;
    spoken_on(&gateway, OTHER, "chat-2").await;
    let one = token(&gateway, WEB, json!({ "channel": "chat-*", "allow": ["read"] })).await;
    let all = ["read", "cancel", "publish"];
    let two = token(&gateway, OTHER, json!({ "channel": "chat-2", "allow": all })).await;
    for (query, tokens) in
        [(String::new(), vec![one.as_str()]), (format!("?token={one}"), vec!["stale"])]
    {
        let mut session = Session::connect(&gateway, &query, &tokens).await;
        assert!(matches!(session.answer().await, Answer::Welcome(_)));
        assert_eq!(session.subscribe(1, "chat-1").await, Ok(()));
        assert_eq!(session.subscribe(2, "chat-2").await, Err("channel_not_found".into()));
        assert_eq!(session.subscribe(3, "other").await, Err("forbidden".into()));
        let publish = proto::Publish {
            channel: "chat-2".into(),
            custom: Some(proto::Custom { r#type: "note".into(), data: "1".into() }),
        };
        session.say(Request::Publish(publish.clone())).await;
        assert!(matches!(session.answer().await, Answer::Refused(it) if it.code == "forbidden"));
        let cancel = proto::Cancel { channel: "chat-1".into(), ..Default::default() };
        session.say(Request::Cancel(cancel)).await;
        assert!(matches!(session.answer().await, Answer::Refused(it) if it.code == "forbidden"));
        // Another owner's token beside it.
        session.say(Request::AddTokens(proto::AddTokens { tokens: vec!["junk".into()] })).await;
        assert!(matches!(session.answer().await, Answer::Refused(it) if it.code == "forbidden"));
        session.say(Request::AddTokens(proto::AddTokens { tokens: vec![two.clone()] })).await;
        assert_eq!(session.answer().await, Answer::Done(proto::Done {}));
        assert_eq!(session.subscribe(4, "chat-2").await, Ok(()));
        session.say(Request::Publish(publish)).await;
        assert!(matches!(session.answer().await, Answer::Published(_)));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_that_holds_there_is_no_session() {
    let (gateway, _upstream) = keyed().await;
    for (query, tokens, told) in [
        ("", &[][..], "wants a channel token"),
        ("", &["junk"], "not a channel token"),
        ("?token=junk", &[], "not one of this gateway's"),
        ("?token=a.b.c", &[], "not one of this gateway's"),
    ] {
        let mut session = Session::connect(&gateway, query, tokens).await;
        let closing = session.closing().await;
        assert!(closing.starts_with("forbidden: ") && closing.contains(told), "{closing}");
        assert!(session.next().await.is_none(), "and it is closed");
    }
    // A key opens all that is its own.
    let mut session = Session::connect(&gateway, &format!("?token={WEB}"), &[]).await;
    assert!(matches!(session.answer().await, Answer::Welcome(_)));
    assert_eq!(session.subscribe(1, "none").await, Err("channel_not_found".into()));
    drop(session);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_token_unless_a_newer_one_came() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-1").await;
    spoken_on(&gateway, WEB, "chat-2").await;
    let short = token(&gateway, WEB, json!({ "channel": "chat-*", "ttl": "1s" })).await;
    let long = token(&gateway, WEB, json!({ "channel": "chat-2", "ttl": "1h" })).await;
    let mut session = Session::connect(&gateway, "", &[&short]).await;
    assert!(matches!(session.answer().await, Answer::Welcome(_)));
    assert_eq!(session.subscribe(1, "chat-1").await, Ok(()));
    assert_eq!(session.subscribe(2, "chat-2").await, Ok(()));
    session.say(Request::AddTokens(proto::AddTokens { tokens: vec![long] })).await;
    assert_eq!(session.answer().await, Answer::Done(proto::Done {}));
    let ended = loop {
        if let Some(Body::Frame(frame)) = session.next().await
            && let Some(News::End(end)) = frame.news
        {
            break (frame.alias, end.reason);
        }
    };
    assert_eq!(ended, (1, Reason::Forbidden as i32));
    assert_eq!(session.subscribe(3, "chat-1").await, Err("forbidden".into()));
    // The other goes on.
    let note = gateway.post("/v1/channels/chat-2/events", r#"{"type":"note"}"#);
    assert_eq!(super::status(note.bearer_auth(WEB)).await, 200);
    match session.next().await {
        Some(Body::Frame(frame)) => assert_eq!((frame.alias, frame.events.len()), (2, 1)),
        other => panic!("{other:?}"),
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_client_brings_its_token_over_webtransport() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-1").await;
    let good = token(&gateway, WEB, json!({ "channel": "chat-1" })).await;
    let target = Target::discover(&gateway.url(""), Some(good)).await.expect("it is told where");
    let mut client = Client::connect(target).await.expect("it connects");
    client.subscribe("chat-1", From::Beginning, false);
    let (_, first) = soon("the channel is read", client.next()).await.expect("it is let in");
    assert!(matches!(first, Item::Events { first_seq: 1, .. }), "{first:?}");
    client.subscribe("other", From::Beginning, false);
    let refused = soon("it is refused", async {
        loop {
            if let Err(error) = client.next().await {
                break error;
            }
        }
    });
    assert!(matches!(refused.await, ClientError::Refused { code, .. } if code == "forbidden"));
    for token in [None, Some("junk".to_owned())] {
        let target = Target::discover(&gateway.url(""), token).await.expect("it is told where");
        let mut client = Client::connect(target).await.expect("it connects");
        client.subscribe("chat-1", From::Beginning, false);
        let closed = soon("it is closed", client.next()).await.expect_err("no token");
        assert!(matches!(closed, ClientError::Closed { code, .. } if code == "forbidden"));
    }
    drop(client);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_and_places_are_counted_and_given_back() {
    let (gateway, _upstream) = keyed_with(|config| {
        config.limits.sessions_per_address = NonZeroU32::new(3);
        config.limits.sessions_per_client = NonZeroU32::new(1);
        config.limits.subscriptions = NonZeroU32::new(2);
        config.limits.publishes_per_minute = NonZeroU32::new(2);
    })
    .await;
    spoken_on(&gateway, WEB, "chat-1").await;
    let all = ["read", "publish"];
    let wish = json!({ "channel": "chat-1", "allow": all, "client": "screen-1" });
    let client = token(&gateway, WEB, wish).await;
    let other = token(&gateway, WEB, json!({ "channel": "chat-1", "client": "screen-2" })).await;
    let mut one = Session::connect(&gateway, "", &[&client]).await;
    assert!(matches!(one.answer().await, Answer::Welcome(_)));
    // A second of the same client, and a fourth from the same address.
    let mut again = Session::connect(&gateway, "", &[&client]).await;
    assert_eq!(again.closing().await, "limit: as many sessions as one client may have are there");
    assert!(again.next().await.is_none());
    let mut two = Session::connect(&gateway, "", &[&other]).await;
    assert!(matches!(two.answer().await, Answer::Welcome(_)));
    let three = Session::connect(&gateway, "", &[&other]).await;
    drop(three);
    assert_eq!(one.subscribe(1, "chat-1").await, Ok(()));
    assert_eq!(one.subscribe(2, "chat-1").await, Ok(()));
    assert_eq!(one.subscribe(3, "chat-1").await, Err("limit".into()));
    // From the same address there is none left either.
    assert_eq!(two.subscribe(1, "chat-1").await, Err("limit".into()));
    one.say(Request::Unsubscribe(proto::Unsubscribe { alias: 1 })).await;
    assert_eq!(one.answer().await, Answer::Done(proto::Done {}));
    soon("a place is free", async {
        let mut alias = 4;
        while one.subscribe(alias, "chat-1").await.is_err() {
            alias += 1;
        }
    })
    .await;
    let publish = proto::Publish {
        channel: "chat-1".into(),
        custom: Some(proto::Custom { r#type: "note".into(), data: "1".into() }),
    };
    let mut answers = Vec::new();
    for _ in 0..3 {
        one.say(Request::Publish(publish.clone())).await;
        answers.push(matches!(one.answer().await, Answer::Published(_)));
    }
    assert_eq!(answers, [true, true, false]);
    // Leaving gives the seat back.
    drop(one);
    soon("the seat is free", async {
        loop {
            let mut again = Session::connect(&gateway, "", &[&client]).await;
            if matches!(again.answer().await, Answer::Welcome(_)) {
                break;
            }
        }
    })
    .await;
    gateway.stop().await;
}
