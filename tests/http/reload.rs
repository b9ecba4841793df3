//! A config that changes while the gateway serves: taken up whole or not at all, and nobody notices.

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::json;
use tokenway::{
    event::Kind,
    native::{Client, Item, Target},
    sequence::From,
};
use tokio::sync::Notify;

use crate::{
    gateway::{Tokenway, asked, body, send, sent, stream_of},
    soon,
    sse::Sse,
    upstream::Upstream,
};

/// Replaced in one step, as whoever deploys a config does.
fn write(file: &Path, up: &Upstream, more: &str) {
    let text = format!(
        "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers:\n  up: {{ dialect: openai, base_url: \"http://{}/v1\" }}\n\
         \u{20} sim: {{ dialect: simulator, tokens_per_second: 2000 }}\n\
         models:\n  fast: {{ targets: [{{ provider: up }}] }}\n\
         \u{20} sim: {{ targets: [{{ provider: sim, model: sim-text }}] }}\n{more}",
        up.addr()
    );
    let draft = file.with_extension("draft");
    fs::write(&draft, text).expect("written");
    fs::rename(&draft, file).expect("renamed");
}

async fn begun() -> (Tokenway, Arc<Notify>, Upstream, tempfile::TempDir) {
    let (directory, up) = (tempfile::tempdir().expect("a directory"), Upstream::bind().await);
    let file = directory.path().join("tokenway.yaml");
    write(&file, &up, "");
    let (gateway, reload) = Tokenway::following(&file).await;
    (gateway, reload, up, directory)
}

async fn reloads(gateway: &Tokenway, outcome: &str) -> f64 {
    let text = send(gateway.get("/metrics")).await.text().await.expect("text");
    let series = format!("tokenway_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0.0, |count| count.parse().expect("a number"))
}

async fn reloaded(gateway: &Tokenway, outcome: &str, times: f64) {
    soon("the config is read again", async {
        while reloads(gateway, outcome).await < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Adds what a session is told to `text`, until that has so many characters.
async fn watch(session: &mut Client, text: &mut String, characters: usize) {
    soon("the session is told", async {
        while text.len() < characters {
            let (_, item) = session.next().await.expect("it goes on");
            let Item::Events { events, .. } = item else { continue };
            for event in events {
                if let Kind::Text(more) = event.kind {
                    *text += &more;
                }
            }
        }
    })
    .await;
}

async fn knows(gateway: &Tokenway, model: &str) -> bool {
    let listed = body(send(gateway.get("/v1/models")).await).await;
    listed["data"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == model))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_up_and_what_runs_goes_on() {
    let (gateway, _, up, directory) = begun().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat"));
    let mut provider = up.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    assert!(!knows(&gateway, "new").await);
    // Nobody tells the gateway: it looks by itself.
    let more =
        "  new: { targets: [{ provider: sim, model: sim-text }] }\nchannels: { sse_ids: false }\n";
    write(&directory.path().join("tokenway.yaml"), &up, more);
    reloaded(&gateway, "taken", 1.0).await;
    assert!(knows(&gateway, "new").await);
    provider.text_delta(" there").await;
    provider.finish().await;
    let rest = app.rest().await;
    assert_eq!(rest.last().expect("an end").data, "[DONE]");
    assert!(rest.iter().any(|item| item.id.is_some()), "it goes on as it began");
    let mut fresh = Sse::of(
        send(gateway.chat(json!({
            "model": "new", "stream": true, "messages": [{ "role": "user", "content": "Hi" }]
        })))
        .await,
    );
    assert!(fresh.rest().await.iter().all(|item| item.id.is_none()), "what is new, by the new one");
    // What was said before is still there.
    assert_eq!(gateway.ended("chat").await["text"], "Hi there");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing() {
    let (gateway, reload, up, directory) = begun().await;
    let file = directory.path().join("tokenway.yaml");
    for (times, bad) in
        [(1.0, "chanels: {}\n"), (2.0, "  bad: { targets: [{ provider: nobody }] }\n")]
    {
        write(&file, &up, bad);
        reload.notify_one();
        reloaded(&gateway, "refused", times).await;
        assert!(knows(&gateway, "fast").await && !knows(&gateway, "bad").await);
    }
    fs::remove_file(&file).expect("removed");
    reload.notify_one();
    reloaded(&gateway, "refused", 3.0).await;
    assert!(knows(&gateway, "fast").await);
    assert_eq!(reloads(&gateway, "taken").await, 0.0);
    write(&file, &up, "  good: { targets: [{ provider: sim }] }\n");
    reload.notify_one();
    reloaded(&gateway, "taken", 1.0).await;
    assert!(knows(&gateway, "good").await, "and then a good one");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_drop_no_request_no_viewer_and_no_session() {
    let (gateway, reload, up, directory) = begun().await;
    let file = directory.path().join("tokenway.yaml");
    // A viewer, and a generation that lasts through all of it.
    let call = sent(gateway.streamed().header("tokenway-channel", "long"));
    let mut provider = up.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let mut view = gateway.view("long").await;
    let target = Target::discover(&gateway.url(""), None).await.expect("it is told where");
    let mut session = Client::connect(target).await.expect("a session");
    session.subscribe("long", From::Beginning, false);
    let mut watched = String::new();
    let gateway = Arc::new(gateway);
    let stop = tokio_util::sync::CancellationToken::new();
    let callers = (0..8).map(|_| {
        let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
        tokio::spawn(async move {
            let mut served = 0;
            while !stop.is_cancelled() {
                let mut call = asked(true);
                call["model"] = json!("sim");
                let response = gateway.chat(call).send().await.expect("no connection is dropped");
                assert_eq!(response.status(), 200);
                let said = response.text().await.expect("no stream is cut");
                assert!(said.contains("data: [DONE]"), "{said}");
                served += 1;
            }
            served
        })
    });
    let callers: Vec<_> = callers.collect();
    for round in 1..=10_u32 {
        write(&file, &up, &format!("channels: {{ frame_interval: {round}ms }}\n"));
        reload.notify_one();
        reloaded(&gateway, "taken", f64::from(round)).await;
        provider.text_delta("!").await;
        view.until(|event| event.event == "text" && event.data.contains('!')).await;
        watch(&mut session, &mut watched, 2 + round as usize).await;
    }
    stop.cancel();
    for caller in callers {
        assert!(caller.await.expect("no caller is let down") > 0);
    }
    provider.finish().await;
    assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    assert_eq!((watched.as_str(), session.reconnects()), ("Hi!!!!!!!!!!", 0));
    drop(session);
    let gateway = Arc::into_inner(gateway).expect("all callers are gone");
    assert_eq!(gateway.ended("long").await["text"], "Hi!!!!!!!!!!");
    gateway.stop().await;
}
