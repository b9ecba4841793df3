//! Which pages may open sessions: a browser tells a page's origin with every WebSocket and every WebTransport, and sets no
//! header for a page that would lie.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tokenway::{
    native::Target,
    transport::webtransport::Trust,
    wire::{
        Framing,
        proto::{
            self, client_message::Body as Request, control::Body as Answer, server_message::Body,
        },
    },
};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};
use wtransport::{
    ClientConfig, Endpoint,
    endpoint::ConnectOptions,
    tls::{Sha256Digest, client},
};

use crate::{
    access::{WEB, keyed_with},
    gateway::{self, Tokenway},
    soon,
};

const ALLOWED: &str = "https://app.example";

/// What pages that may not be here say of themselves.
const EVIL: [&str; 4] =
    ["https://evil.example", "https://app.example.evil.example", "null", "http://localhost:1"];

/// The status of a WebSocket's handshake by a page of this origin.
async fn websocket(gateway: &Tokenway, origin: Option<&str>) -> u16 {
    let url = format!("ws://{}/v1/connect?token={WEB}", gateway.addr);
    let mut request = url.into_client_request().expect("a URL");
    let head = request.headers_mut();
    head.insert("sec-websocket-protocol", "tokenway.v1".parse().expect("a value"));
    if let Some(origin) = origin {
        head.insert("origin", origin.parse().expect("a value"));
    }
    match soon("it is answered", tokio_tungstenite::connect_async(request)).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

/// What a page of this origin is told over WebTransport: `welcome`, or the code by which it is sent away.
async fn webtransport(gateway: &Tokenway, origin: Option<&str>) -> String {
    let Target { url, trust, .. } =
        Target::discover(&gateway.url(""), None).await.expect("it is told where");
    let Trust::Hashes(hashes) = trust else { panic!("a certificate for development") };
    let hashes = hashes.into_iter().map(Sha256Digest::new);
    let verifier = Arc::new(client::ServerHashVerification::new(hashes));
    let roots = Arc::new(rustls::RootCertStore::empty());
    let tls = client::build_default_tls_config(roots, Some(verifier));
    let config = ClientConfig::builder().with_bind_default().with_custom_tls(tls).build();
    let endpoint = Endpoint::client(config).expect("a socket");
    let mut options = ConnectOptions::builder(format!("{url}?token={WEB}"));
    if let Some(origin) = origin {
        options = options.add_header("origin", origin);
    }
    let connection = endpoint.connect(options.build()).await.expect("a browser is let in first");
    let opening = connection.open_bi().await.expect("a stream");
    let (mut send, mut receive) = opening.await.expect("a stream");
    let hello = Request::Hello(proto::Hello { protocol: 1, ..proto::Hello::default() });
    let hello = proto::ClientMessage { request: 1, body: Some(hello) };
    // Whoever is sent away need not be listened to.
    let _ = send.write_all(&hello.encode_length_delimited_to_vec()).await;
    let (mut framing, mut buffer) = (Framing::new(1 << 20), [0; 4_096]);
    let message: Bytes = loop {
        if let Some(message) = framing.pop().expect("delimited") {
            break message;
        }
        let read = receive.read(&mut buffer).await.expect("it says why");
        framing.push(&buffer[..read.expect("before it ends")]);
    };
    let message = proto::ServerMessage::decode(message).expect("a message");
    match message.body {
        Some(Body::Control(proto::Control { body: Some(Answer::Welcome(_)), .. })) => {
            "welcome".to_owned()
        }
        Some(Body::Control(proto::Control { body: Some(Answer::Closing(closing)), .. })) => {
            closing.code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_opens_no_session_with_or_without_keys() {
    let allow = |config: &mut tokenway::config::Config| {
        config.access.allowed_origins = vec![ALLOWED.to_owned()];
    };
    for (gateway, _upstream) in [gateway::with("", allow).await, keyed_with(allow).await] {
        let is_open = gateway.get("/v1/models").send().await.expect("an answer").status() == 200;
        for origin in EVIL {
            assert_eq!(websocket(&gateway, Some(origin)).await, 403, "{origin}");
            let told = soon("it is told", webtransport(&gateway, Some(origin))).await;
            assert_eq!(told, "forbidden", "{origin}, open: {is_open}");
        }
        let own = format!("http://127.0.0.1:{}", gateway.addr.port());
        for origin in [Some(ALLOWED), Some(own.as_str()), None] {
            assert_eq!(websocket(&gateway, origin).await, 101, "{origin:?}");
            let told = soon("it is told", webtransport(&gateway, origin)).await;
            assert_eq!(told, "welcome", "{origin:?}, open: {is_open}");
        }
        gateway.stop().await;
    }
}
