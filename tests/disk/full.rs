//! A disk that takes no more: channels go on in memory, in a new epoch, and everybody is told.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    process::{Gateway, client, configure},
    seen::{replay, seq_of},
};

/// A shell that lets no file grow past so many blocks of 512 bytes, and lets a write fail rather than kill.
fn limited(blocks: u32) -> Command {
    let mut shell = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_tokenway");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {binary} \"$@\"");
    shell.args(["-c", &script, "sh"]);
    shell
}

async fn generate(http: &reqwest::Client, url: &str, channel: &str, tokens: u32) -> String {
    let body = json!({ "model": "sim-long", "stream": true, "max_tokens": tokens,
        "simulator": { "tokens_per_second": 20000 }, "messages": [{ "role": "user", "content": "go" }] });
    let call = http.post(format!("{url}/v1/chat/completions")).header("tokenway-channel", channel);
    let answer = call.json(&body).send().await.expect("it answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.text().await.expect("a whole stream")
}

#[tokio::test]
async fn a_disk_that_is_full_costs_nothing_but_its_keeping() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configure(dir.path(), &dir.path().join("store"));
    let http = client();
    // Room for some hundred tokens in the journal.
    let gateway = Gateway::run(limited(64), &config);
    generate(&http, &gateway.url, "before", 20).await;
    let before = replay(&http, &gateway.url, "before", "0").await.expect("it is there");
    let said = generate(&http, &gateway.url, "chat", 3_000).await;
    assert!(said.ends_with("data: [DONE]\n\n"), "the app is told all of it");
    let log = gateway.log();
    assert!(log.contains("THE STORE HAS FAILED") && log.contains("File too large"), "{log}");
    let metrics = http.get(format!("{}/metrics", gateway.url)).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("tokenway_store_degraded 1\n"), "{metrics}");
    // Those who looked go on; their old cursors are good for what was kept.
    let told = replay(&http, &gateway.url, "chat", "0").await.expect("it is there");
    assert!(told.iter().map(|it| seq_of(&it.0)).eq(1..=told.len() as u64), "seqs have no gap");
    let (last, ..) = told.last().expect("something was said").clone();
    let after = generate(&http, &gateway.url, "after", 20).await;
    assert!(after.ends_with("data: [DONE]\n\n"));
    let note = json!({ "type": "note", "data": 1 });
    let publish = http.post(format!("{}/v1/channels/chat/events", gateway.url)).json(&note);
    assert!(publish.send().await.expect("it answers").status().is_success());
    // Nobody is told that something is forgotten for good if it may come back.
    let delete = http.delete(format!("{}/v1/channels/before", gateway.url)).send().await;
    assert_eq!(delete.expect("it answers").status(), 503);
    assert_eq!(
        replay(&http, &gateway.url, "before", "0").await.err().map(|it| it.as_u16()),
        Some(404)
    );
    gateway.stop();

    // With room again: what was kept is there, what was not is not, and no number means two events.
    let gateway = Gateway::start(&config);
    let again = replay(&http, &gateway.url, "before", "0").await.expect("it was kept");
    assert_eq!(before, again);
    let kept = replay(&http, &gateway.url, "chat", "0").await.expect("its beginning was kept");
    let end = kept.len() - 1;
    for (kept, told) in kept[..end].iter().zip(&told) {
        assert_eq!((&kept.1, &kept.2), (&told.1, &told.2), "{}", kept.0);
    }
    assert_eq!((&kept[end].1[..], &kept[end].2["code"]), ("failed", &Value::from("gateway_lost")));
    assert_eq!(
        replay(&http, &gateway.url, "chat", &last).await.err().map(|it| it.as_u16()),
        Some(409)
    );
    let state = http.get(format!("{}/v1/channels/after", gateway.url)).send().await;
    assert_eq!(state.expect("it answers").status(), 404);
    gateway.stop();
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_costs_what_it_holds_until_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configure(dir.path(), &dir.path().join("store"));
    let http = client();
    let gateway = Gateway::start(&config);
    generate(&http, &gateway.url, "chat", 40).await;
    let before = replay(&http, &gateway.url, "chat", "0").await.expect("it is there");
    gateway.kill();

    // What the journal holds cannot be put away.
    let gateway = Gateway::run(limited(1), &config);
    assert!(gateway.log().contains("THE STORE HAS FAILED"), "{}", gateway.log());
    let metrics = http.get(format!("{}/metrics", gateway.url)).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("tokenway_store_degraded 1\n"), "{metrics}");
    let said = generate(&http, &gateway.url, "chat", 20).await;
    assert!(said.ends_with("data: [DONE]\n\n"), "{said}");
    let (other, ..) = replay(&http, &gateway.url, "chat", "0").await.expect("it is new")[0].clone();
    gateway.stop();

    let gateway = Gateway::start(&config);
    assert_eq!(replay(&http, &gateway.url, "chat", "0").await.expect("it was kept"), before);
    let mistaken = replay(&http, &gateway.url, "chat", &other).await;
    assert_eq!(mistaken.err().map(|it| it.as_u16()), Some(409), "no number means two events");
    gateway.stop();
}

#[tokio::test]
async fn two_gateways_do_not_share_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    let config = configure(dir.path(), &store);
    let gateway = Gateway::start(&config);
    let second = Command::new(env!("CARGO_BIN_EXE_tokenway"))
        .args(["serve", "--config"])
        .arg(&config)
        .arg("--state-dir")
        .arg(dir.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("is used by another process"), "{said}");
    gateway.stop();
}
