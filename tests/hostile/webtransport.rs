//! Sessions over WebTransport that do not keep to the protocol.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use prost::Message as _;
use serde_json::json;
use tokenway::{
    native::Target,
    transport::webtransport::{Dialled, Message, Trust, dial},
    wire::proto::{
        self, client_message::Body as Request, control::Body as Answer, server_message::Body,
    },
};
use wtransport::{
    quinn,
    tls::{Sha256Digest, client},
};

use crate::{Table, tokens::good};

/// How long an answer may take: longer than a client without hello is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many shake hands and say nothing more: more than there is room for in all.
const SILENT: usize = 300;

/// Where they come from.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long somebody else may take to come in meanwhile. Without a bound for one address it is 10 s.
const COME_IN: Duration = Duration::from_secs(3);

/// How many connect, say hello and are gone without a goodbye.
const FLEETING: usize = 100;

fn message(body: Request) -> proto::ClientMessage {
    proto::ClientMessage { request: 7, body: Some(body) }
}

fn hello(tokens: &[String]) -> proto::Hello {
    proto::Hello { protocol: 1, tokens: tokens.to_vec(), ..Default::default() }
}

fn subscribe(alias: u32, channel: &str) -> proto::Subscribe {
    proto::Subscribe { alias, channel: channel.into(), ..Default::default() }
}

/// What came of it, in a word: the code of the first refusal or closing, or the welcome where that is waited for.
async fn told(dialled: &mut Dialled, welcome: bool) -> String {
    loop {
        let bytes = match dialled.next().await {
            Ok(Message::Control(bytes)) => bytes,
            Ok(Message::Frame(_)) => continue,
            Err(_) => return "closed".to_owned(),
        };
        let Some(Body::Control(control)) =
            proto::ServerMessage::decode(bytes).expect("a message").body
        else {
            continue;
        };
        match control.body {
            Some(Answer::Closing(closing)) => return format!("closing {}", closing.code),
            Some(Answer::Refused(refused)) => return format!("refused {}", refused.code),
            Some(Answer::Welcome(_)) if welcome => return "welcome".to_owned(),
            _ => {}
        }
    }
}

/// Shakes hands with the gateway many times from one address. Gives those that it took, which are there until dropped.
async fn shaken(gateway: SocketAddr, trust: &Trust) -> Vec<quinn::Connection> {
    let Trust::Hashes(hashes) = trust else { panic!("a certificate for development") };
    let hashes = hashes.iter().copied().map(Sha256Digest::new);
    let verifier = Arc::new(client::ServerHashVerification::new(hashes));
    let roots = Arc::new(rustls::RootCertStore::empty());
    let tls = client::build_default_tls_config(roots, Some(verifier));
    let config =
        wtransport::ClientConfig::builder().with_bind_default().with_custom_tls(tls).build();
    let endpoint = quinn::Endpoint::client((ELSEWHERE, 0).into()).expect("a socket");
    let knocks = (0..SILENT).map(|_| {
        endpoint
            .connect_with(config.quic_config().clone(), gateway, "localhost")
            .expect("it begins")
    });
    let knocks: FuturesUnordered<_> = knocks.collect();
    // Those that are not heard knock until they are.
    let (mut shaken, mut knocks) = (Vec::new(), knocks);
    let quiet = Duration::from_millis(500);
    while let Ok(Some(one)) = tokio::time::timeout(quiet, knocks.next()).await {
        shaken.extend(one);
    }
    shaken
}

async fn in_time(said: impl Future<Output = String>) -> String {
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| "hung".to_owned())
}

pub(crate) fn try_all(table: &mut Table<'_>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = format!("http://{}", table.gateway.http);
    let target = runtime.block_on(Target::discover(&url, None)).expect("it is told where");
    let Target { url, trust, .. } = target;
    let exchange = |url: &str, said: Vec<Request>, welcome: bool| {
        runtime.block_on(in_time(async {
            let Ok(mut dialled) = dial(url, &trust).await else { return "refused".to_owned() };
            for body in said {
                dialled.send(&message(body));
            }
            told(&mut dialled, welcome).await
        }))
    };
    let read = good(json!({}));
    let greeted = |more: Vec<Request>| {
        let greeting = Request::Hello(hello(std::slice::from_ref(&read)));
        [vec![greeting], more].concat()
    };
    let elsewhere = url.replace("/v1/connect", "/v1/elsewhere");
    table.note("WebTransport, another path", "refused", exchange(&elsewhere, vec![], false));
    let long = format!("{url}?token={}", "t".repeat(6_000));
    let got = exchange(&long, vec![Request::Hello(hello(&[]))], true);
    table.note("WebTransport, a token of 6,000 bytes", "closing forbidden|refused", got);
    let cancel = proto::Cancel { channel: "chat-1".into(), ..Default::default() };
    let custom = Some(proto::Custom { r#type: "note".into(), data: "1".into() });
    let publish = proto::Publish { channel: "chat-1".into(), custom };
    let crowd = (1..=5_000).map(|alias| subscribe(alias, "chat-1")).collect();
    let crowded = proto::Hello { subscriptions: crowd, ..hello(std::slice::from_ref(&read)) };
    let large = proto::Hello { client: "c".repeat(2 << 20), ..hello(&[]) };
    let old = proto::Hello { protocol: 99, ..hello(&[]) };
    let rows = [
        ("no token", vec![Request::Hello(hello(&[]))], "closing forbidden"),
        (
            "a token that is none",
            vec![Request::Hello(hello(&["a.b.c".into()]))],
            "closing forbidden",
        ),
        ("another protocol", vec![Request::Hello(old)], "closing protocol_unsupported"),
        ("a hello of 2 MB", vec![Request::Hello(large)], "closing bad_message"),
        (
            "a subscription before hello",
            vec![Request::Subscribe(subscribe(1, "chat-1"))],
            "closing hello_expected",
        ),
        ("no hello at all", vec![], "closing hello_expected|closed"),
        ("a second hello", greeted(vec![Request::Hello(hello(&[]))]), "closing bad_message"),
        (
            "another's channel",
            greeted(vec![Request::Subscribe(subscribe(1, "other"))]),
            "refused forbidden",
        ),
        (
            "a path for a channel",
            greeted(vec![Request::Subscribe(subscribe(1, "../a"))]),
            "refused bad_channel_id",
        ),
        ("stopping without the right", greeted(vec![Request::Cancel(cancel)]), "refused forbidden"),
        (
            "publishing without the right",
            greeted(vec![Request::Publish(publish)]),
            "refused forbidden",
        ),
        (
            "hello with 5,000 subscriptions",
            vec![Request::Hello(crowded)],
            "refused limit|refused channel_not_found",
        ),
    ];
    for (input, said, expected) in rows {
        table.gateway.renew();
        table.note(format!("WebTransport, {input}"), expected, exchange(&url, said, false));
    }
    let silent = runtime.block_on(shaken(table.gateway.udp, &trust));
    let begun = Instant::now();
    let got = exchange(&url, greeted(vec![]), true);
    let got = if begun.elapsed() < COME_IN { got } else { "kept waiting".to_owned() };
    let (count, took) = (silent.len(), begun.elapsed().as_millis());
    table.note(
        format!("WebTransport, {SILENT} shake hands and say nothing"),
        "welcome",
        format!("{got}: {count} got in, another in {took} ms"),
    );
    drop(silent);
    let begun = Instant::now();
    for _ in 0..FLEETING {
        exchange(&url, greeted(vec![]), true);
    }
    let got = exchange(&url, greeted(vec![]), true);
    let took = begun.elapsed().as_millis();
    table.note(
        format!("WebTransport, {FLEETING} sessions that are gone at once"),
        "welcome",
        format!("{got}: the last after {took} ms"),
    );
}
