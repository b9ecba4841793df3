//! Keys and limits of a changed config hold from then on, and what was there goes on.

use std::{fs, path::Path};

use serde_json::json;

use super::{ADMIN, OTHER, SECRET, WEB, refusals, sessions::Session, status, token};
use tokenway::{
    native::{Client, Target},
    sequence::From,
    wire::proto::{self, client_message::Body as Request, control::Body as Answer},
};

use crate::{
    gateway::{Tokenway, body, header, send, sent, stream_of},
    soon,
    upstream::Upstream,
};

fn write(file: &Path, up: &Upstream, access: &str, limits: &str) {
    write_with(file, up, SECRET, access, limits);
}

fn write_with(file: &Path, up: &Upstream, secret: &str, access: &str, limits: &str) {
    let text = format!(
        "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers: {{ up: {{ dialect: openai, base_url: \"http://{}/v1\" }} }}\n\
         models: {{ fast: {{ targets: [{{ provider: up }}] }} }}\n\
         access:\n  token_secret: \"{secret}\"\n  admin_key: \"{ADMIN}\"\n  keys: [{access}]\n{limits}",
        up.addr()
    );
    let draft = file.with_extension("draft");
    fs::write(&draft, text).expect("written");
    fs::rename(&draft, file).expect("renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_keys_and_limits_hold_from_then_on() {
    let (directory, up) = (tempfile::tempdir().expect("a directory"), Upstream::bind().await);
    let file = directory.path().join("tokenway.yaml");
    let web = format!("{{ name: web, key: {WEB}, limits: {{ concurrent: 2 }} }}");
    write(&file, &up, &web, "");
    let (gateway, reload) = Tokenway::following(&file).await;
    assert_eq!(status(gateway.get("/v1/models").bearer_auth(OTHER)).await, 401);
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = up.call().await;
    provider.begin().await;
    let mut app = stream_of(call).await;

    let web = format!("{{ name: web, key: {WEB}, limits: {{ concurrent: 1 }} }}");
    let other = format!("{{ name: other, key: {OTHER} }}");
    write(&file, &up, &format!("{web}, {other}"), "limits: { generations: 1, body: 4KiB }\n");
    reload.notify_one();
    let known = async |key, expected| {
        soon("the config is taken up", async {
            while status(gateway.get("/v1/models").bearer_auth(key)).await != expected {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    };
    known(OTHER, 200).await;
    // What began under the old limits counts among the new.
    let refused = send(gateway.streamed().bearer_auth(OTHER)).await;
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "retry-after")), (503, "1"));
    let large =
        json!({ "model": "fast", "messages": [{ "role": "user", "content": "x".repeat(5_000) }] });
    assert_eq!(status(gateway.chat(large).bearer_auth(OTHER)).await, 413);
    write(&file, &up, &format!("{web}, {other}"), "limits: { generations: none }\n");
    reload.notify_one();
    soon("the key's own limit is what is left", async {
        loop {
            let refused = send(gateway.streamed().bearer_auth(WEB)).await;
            let (status, error) = (refused.status().as_u16(), body(refused).await["error"].clone());
            match status {
                429 => break assert_eq!(error["code"], "rate_limit_exceeded", "{error}"),
                other => assert_eq!(other, 503, "{error}"),
            }
        }
    })
    .await;
    assert!(refusals(&gateway, "overloaded").await >= 1);
    assert!(refusals(&gateway, "concurrent").await >= 1);

    // A key that is taken out opens nothing any more; what it began goes on.
    write(&file, &up, &other, "");
    reload.notify_one();
    known(WEB, 401).await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_by_the_keys_of_now_and_what_it_has_open_goes_on() {
    let (directory, up) = (tempfile::tempdir().expect("a directory"), Upstream::bind().await);
    let file = directory.path().join("tokenway.yaml");
    let (web, other) =
        (format!("{{ name: web, key: {WEB} }}"), format!("{{ name: other, key: {OTHER} }}"));
    write(&file, &up, &web, "");
    let (gateway, reload) = Tokenway::following(&file).await;
    let publish = async |channel: &str| {
        let channel = format!("/v1/channels/{channel}/events");
        status(gateway.post(&channel, json!({ "type": "note" })).bearer_auth(WEB)).await
    };
    let said = async |channel: &str| {
        let call = gateway.streamed().header("tokenway-channel", channel);
        let call = sent(call.bearer_auth(WEB));
        let mut provider = up.call().await;
        provider.begin().await;
        provider.finish().await;
        stream_of(call).await.rest().await;
    };
    said("chat-1").await;
    said("chat-2").await;
    let wish = json!({ "channel": "chat-*", "allow": ["read"] });
    let old = token(&gateway, WEB, wish.clone()).await;
    let spare = token(&gateway, WEB, json!({ "channel": "chat-2", "allow": ["read"] })).await;
    let mut session = Session::connect(&gateway, "", &[&old]).await;
    assert!(matches!(session.answer().await, Answer::Welcome(_)));
    session.subscribe(1, "chat-1").await.expect("it may");
    let mut keyed = Session::connect(&gateway, &format!("?key={WEB}"), &[]).await;
    assert!(matches!(keyed.answer().await, Answer::Welcome(_)));
    let target = Target::discover(&gateway.url(""), Some(old.clone())).await.expect("told where");
    let mut native = Client::connect(target).await.expect("it connects");
    native.subscribe("chat-1", From::Tail, false);
    soon("it is told", async {
        // The tail begins once somebody is there to be told.
        let told = native.next();
        tokio::pin!(told);
        loop {
            tokio::select! {
                told = &mut told => break told.map(|_| ()),
                () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {
                    assert_eq!(publish("chat-1").await, 200);
                }
            }
        }
    })
    .await
    .expect("it may");

    let secret = "another secret of thirty-two bytes, and more";
    write_with(&file, &up, secret, &format!("{web}, {other}"), "");
    reload.notify_one();
    soon("the config is taken up", async {
        while status(gateway.get("/v1/models").bearer_auth(OTHER)).await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    // A token of the secret that got out is not taken any more, and the one that is held opens nothing more.
    session.say(Request::AddTokens(proto::AddTokens { tokens: vec![spare] })).await;
    match session.answer().await {
        Answer::Refused(refused) => assert_eq!(refused.code, "forbidden"),
        other => panic!("{other:?}"),
    }
    assert_eq!(session.subscribe(2, "chat-2").await, Err("forbidden".to_owned()));
    let new = token(&gateway, WEB, wish).await;
    session.say(Request::AddTokens(proto::AddTokens { tokens: vec![new] })).await;
    assert!(matches!(session.answer().await, Answer::Done(_)));
    session.subscribe(3, "chat-2").await.expect("by the new one it may");
    keyed.subscribe(1, "chat-1").await.expect("its key is still there");
    // What is open goes on, over WebTransport too, and on the session that was there.
    assert_eq!(publish("chat-1").await, 200);
    soon("it is told", native.next()).await.expect("it goes on");
    assert_eq!(native.reconnects(), 0);

    write_with(&file, &up, secret, &other, "");
    reload.notify_one();
    soon("the key is taken out", async {
        while status(gateway.get("/v1/models").bearer_auth(WEB)).await != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(keyed.subscribe(2, "chat-2").await, Err("forbidden".to_owned()));
    // From then on it is what its tokens say.
    let theirs = token(&gateway, OTHER, json!({ "channel": "chat-*", "allow": ["read"] })).await;
    keyed.say(Request::AddTokens(proto::AddTokens { tokens: vec![theirs] })).await;
    assert!(matches!(keyed.answer().await, Answer::Done(_)));
    assert_eq!(keyed.subscribe(3, "chat-2").await, Err("channel_not_found".to_owned()));
    assert_eq!(session.subscribe(4, "chat-2").await, Err("forbidden".to_owned()));
    gateway.stop().await;
}
