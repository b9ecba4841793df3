//! Keys and limits of a changed config hold from then on, and what was there goes on.

use std::{fs, path::Path};

use serde_json::json;

use super::{ADMIN, OTHER, SECRET, WEB, refusals, status};
use crate::{
    gateway::{Tokenway, body, header, send, sent, stream_of},
    soon,
    upstream::Upstream,
};

fn write(file: &Path, up: &Upstream, access: &str, limits: &str) {
    let text = format!(
        "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers: {{ up: {{ dialect: openai, base_url: \"http://{}/v1\" }} }}\n\
         models: {{ fast: {{ targets: [{{ provider: up }}] }} }}\n\
         access:\n  token_secret: \"{SECRET}\"\n  admin_key: \"{ADMIN}\"\n  keys: [{access}]\n{limits}",
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
