//! `kill -9` at random moments under load: all that anybody was told holds.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    process::{Gateway, client, configure},
    seen::World,
};

/// How many times it is killed.
#[expect(clippy::disallowed_methods, reason = "the environment says how often")]
fn count() -> u32 {
    if std::env::var_os("TOKENWAY_SOAK").is_some() { 200 } else { 20 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the environment may say which run to repeat")]
async fn random_cuts_of_the_process_lose_nothing_that_anybody_was_told() {
    let seed = std::env::var("TOKENWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    let count = count();
    println!("TOKENWAY_SEED={seed}, {count} kills");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    let config = configure(dir.path(), &store);
    let world = Arc::new(World::default());
    let (mut compared, mut torn) = (0, 0);
    let gateway = Gateway::start(&config);
    begin(&gateway.url).await;
    gateway.stop();
    for _ in 0..count {
        let gateway = Gateway::start(&config);
        torn += u32::from(gateway.log().contains("torn"));
        compared += verify(&world, &gateway.url, &mut random, torn == 0).await;
        let load = load(&world, &gateway.url, &mut random);
        // The clients' own time: what is tested is that any moment will do.
        tokio::time::sleep(Duration::from_millis(random.random_range(50..700))).await;
        gateway.kill();
        for task in load {
            task.await.expect("a client never sees what cannot be");
        }
    }
    let gateway = Gateway::start(&config);
    torn += u32::from(gateway.log().contains("torn"));
    for name in world.names() {
        compared += world.verify(&client(), &gateway.url, &name, torn == 0).await;
    }
    gateway.stop();
    let bytes = bytes_of(&store);
    println!("{compared} events compared, {torn} torn journals, {bytes} bytes on disk");
    assert!(compared > 100 * u64::from(count), "there was something to lose");
}

fn bytes_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the store").flatten();
    entries.map(|entry| entry.metadata().map_or(0, |it| it.len())).sum()
}

/// The channel on which is published, since publishing makes none.
async fn begin(url: &str) {
    let body = json!({ "model": "sim-text", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    let call = client().post(format!("{url}/v1/chat/completions"));
    let answer = call.header("tokenway-channel", "board").json(&body).send().await;
    assert!(answer.expect("it answers").status().is_success());
}

async fn verify(world: &World, url: &str, random: &mut StdRng, proved: bool) -> u64 {
    let http = client();
    let names = world.names();
    let mut compared = 0;
    for name in &names {
        // All that were told something lately, and some of the others.
        let recent = name.starts_with("chat") || name == "board";
        if recent || names.len() < 20 || random.random_bool(0.2) {
            compared += world.verify(&http, url, name, proved).await;
        }
    }
    compared
}

/// A client, which is awaited when the gateway is gone.
#[expect(clippy::disallowed_methods, reason = "whoever begins it awaits it")]
fn run(client: Boxed) -> tokio::task::JoinHandle<()> {
    tokio::spawn(client)
}

/// Apps that stream and apps that do not wait, viewers, and somebody who publishes.
fn load(world: &Arc<World>, url: &str, random: &mut StdRng) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for app in 0..4 {
        let channel = (app < 2).then(|| format!("chat-{}", random.random_range(0..3)));
        let long = random.random_bool(0.5);
        tasks.push(run(boxed(stream(Arc::clone(world), url.to_owned(), channel, long))));
    }
    tasks.push(run(boxed(accepted(Arc::clone(world), url.to_owned()))));
    tasks.push(run(boxed(publish(Arc::clone(world), url.to_owned(), random.random()))));
    tasks
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(task: impl Future<Output = Option<()>> + Send + 'static) -> Boxed {
    Box::pin(async move {
        // Where it ended does not matter: the gateway was killed.
        let _ = task.await;
    })
}

/// An app that streams one answer after another, each watched by a viewer.
async fn stream(world: Arc<World>, url: String, channel: Option<String>, long: bool) -> Option<()> {
    let http = client();
    loop {
        let model = if long { "sim-long" } else { "sim-text" };
        let mut body = json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "go" }] });
        if !long {
            body["max_tokens"] = 20.into();
        }
        let mut call = http.post(format!("{url}/v1/chat/completions")).json(&body);
        if let Some(channel) = &channel {
            call = call.header("tokenway-channel", channel);
        }
        let answer = call.send().await.ok()?;
        assert!(answer.status().is_success(), "{}", answer.status());
        let header = |name| answer.headers()[name].to_str().expect("text").to_owned();
        let (name, generation) = (header("tokenway-channel"), header("tokenway-generation"));
        let viewer = run(boxed(view(Arc::clone(&world), url.clone(), name.clone())));
        let mut last = None;
        let ended = sse(answer, |id, _, data| {
            if data == "[DONE]" {
                world.of(&name, |channel| channel.finished.push(generation.clone()));
            }
            last = id.map(str::to_owned).or(last.take());
        })
        .await;
        if let Some(cursor) = last {
            world.of(&name, |channel| channel.cursors.push(cursor));
        }
        if ended.is_none() {
            viewer.await.expect("a viewer never sees what cannot be");
            return None;
        }
    }
}

/// A viewer, from the beginning to wherever it comes.
async fn view(world: Arc<World>, url: String, name: String) -> Option<()> {
    let http = client();
    let answer = http.get(format!("{url}/v1/channels/{name}/events")).send().await.ok()?;
    let (mut seq, mut last) = (0, None);
    let ended = sse(answer, |id, event, data| {
        let Some(cursor) = id else { return };
        seq += 1;
        assert_eq!(crate::seen::seq_of(cursor), seq, "{name}: seqs have no gap");
        let data: Value = serde_json::from_str(data).expect("JSON");
        world.told(&name, cursor, event, data);
        last = Some(cursor.to_owned());
    })
    .await;
    if let Some(cursor) = last {
        world.of(&name, |channel| channel.cursors.push(cursor));
    }
    ended
}

/// An app that is told where its answers will be found.
async fn accepted(world: Arc<World>, url: String) -> Option<()> {
    let http = client();
    let body = json!({ "model": "sim-text", "messages": [{ "role": "user", "content": "go" }] });
    for _ in 0..50 {
        let call = http.post(format!("{url}/v1/chat/completions")).json(&body);
        let answer = call.header("prefer", "respond-async").send().await.ok()?;
        assert_eq!(answer.status(), 202);
        let told: Value = answer.json().await.ok()?;
        let generation = told["generation"].as_str().expect("an id").to_owned();
        let name = told["channel"].as_str().expect("an id");
        world.of(name, |channel| channel.accepted.push(generation));
    }
    Some(())
}

/// Somebody who publishes, and notes what was acknowledged.
async fn publish(world: Arc<World>, url: String, salt: u32) -> Option<()> {
    let http = client();
    for n in 0.. {
        let data = json!({ "salt": salt, "n": n });
        let body = json!({ "type": "note", "data": data });
        let call = http.post(format!("{url}/v1/channels/board/events")).json(&body);
        let answer = call.send().await.ok()?;
        assert!(answer.status().is_success(), "{}", answer.status());
        let told: Value = answer.json().await.ok()?;
        let cursor = format!("{}.{}", told["epoch"].as_str().expect("an epoch"), told["seq"]);
        world.of("board", |channel| channel.published.push((cursor, data)));
    }
    Some(())
}

/// Reads server-sent events to the end; `None` if there was none. A part of an event is none.
async fn sse(
    answer: reqwest::Response,
    mut told: impl FnMut(Option<&str>, &str, &str),
) -> Option<()> {
    let mut body = answer.bytes_stream();
    let mut held = Vec::new();
    while let Some(bytes) = body.next().await {
        held.extend_from_slice(&bytes.ok()?);
        while let Some(end) = held.windows(2).position(|it| it == b"\n\n") {
            let event = String::from_utf8(held.drain(..end + 2).collect()).expect("text");
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                told(field("id: "), field("event: ").unwrap_or_default(), data);
            }
        }
    }
    Some(())
}
