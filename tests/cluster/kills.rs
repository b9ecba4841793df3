//! Random deaths under load: a writer, a follower, NATS, or the way of one node to it. Whatever dies, all nodes and all clients
//! tell the same, and all that was begun ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use impair::{Kind as Carries, Proxy};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::{Gateway, client},
    nats::Nats,
    node::LEASE,
    seen::{Place, Replayed, World, replay, seq_of, sse},
};

/// What a gateway that died left has ended within its lease and a second.
const ENDED_WITHIN: Duration = LEASE.saturating_add(Duration::from_secs(1));

/// Where NATS was away, or the way to it: whoever is back gives all others a lease, and NATS needs a while to start.
const ENDED_AFTER_NATS_WITHIN: Duration = LEASE.saturating_add(Duration::from_secs(2));

/// A node that lives has heard of whatever was said by then.
const AGREED_WITHIN: Duration = Duration::from_secs(2);

/// How many times something dies.
#[expect(clippy::disallowed_methods, reason = "the environment says how often")]
fn count() -> u32 {
    if std::env::var_os("TOKENWAY_SOAK").is_some() { 200 } else { 20 }
}

struct Cluster {
    nats: Nats,
    /// The way of the last node to NATS.
    way: Proxy,
    nodes: Vec<Gateway>,
}

impl Cluster {
    async fn start() -> Option<Self> {
        let nats = Nats::start()?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let to = SocketAddr::from(([127, 0, 0, 1], nats.port()));
        let way = Proxy::open(Carries::Tcp, any, to, 1).await.expect("a free port");
        let proxied = format!("nats://{}", way.local_addr());
        let nodes = [nats.url(), nats.url(), proxied].map(|url| Gateway::start(&url));
        Some(Self { nats, way, nodes: nodes.into() })
    }

    fn urls(&self) -> Vec<String> {
        self.nodes.iter().filter(|it| it.runs()).map(|it| it.url.clone()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Node(usize),
    Nats,
    Way,
    /// A node is told to stop, and does so in order.
    Leave(usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the environment may say which run to repeat")]
async fn random_cuts_of_nodes_and_of_nats_leave_one_text_everywhere_and_every_generation_ended() {
    let seed = std::env::var("TOKENWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    let count = count();
    println!("TOKENWAY_SEED={seed}, {count} deaths");
    let mut random = StdRng::seed_from_u64(seed);
    let world = Arc::new(World::default());
    let Some(mut cluster) = Cluster::start().await else { return };
    generate(&cluster.nodes[0].url, "board").await;
    let mut slowest = Duration::ZERO;
    for round in 0..count {
        let load = load(&world, &cluster.urls(), &mut random, round);
        // The clients' own time: what is tested is that any moment will do.
        let pause = Duration::from_millis(random.random_range(100..900));
        tokio::time::sleep(pause).await;
        let death = match random.random_range(0..10) {
            0..=4 => Death::Node(random.random_range(0..3)),
            5..=6 => Death::Nats,
            7..=8 => Death::Way,
            _ => Death::Leave(random.random_range(0..3)),
        };
        let away = Duration::from_millis(random.random_range(50..2_500));
        die(&mut cluster, death, away).await;
        load.over.cancel();
        let limit = match death {
            Death::Node(_) | Death::Leave(_) => ENDED_WITHIN,
            Death::Nats | Death::Way => ENDED_AFTER_NATS_WITHIN,
        };
        println!("{round}: {death:?}, {away:?} away");
        let took = all_end(&cluster, &load, limit).await;
        println!("{round}: all ended {took:?} after it was back");
        if matches!(death, Death::Node(_)) {
            slowest = slowest.max(took);
        }
        for it in &mut cluster.nodes {
            if !it.runs() {
                it.revive();
            }
        }
        for task in load.apps.into_iter().chain(load.others) {
            task.abort();
            match task.await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => {}
            }
        }
        verify(&cluster, &world, &mut random, round).await;
    }
    println!(
        "{} events were told; the slowest end came {slowest:?} after a node's death",
        world.count()
    );
    assert!(world.count() > 100 * count as usize, "there was something to lose");
}

/// What dies is back when this is done, but for a node.
async fn die(cluster: &mut Cluster, death: Death, away: Duration) {
    match death {
        Death::Node(node) => cluster.nodes[node].kill(),
        Death::Leave(node) => cluster.nodes[node].stop(),
        Death::Nats => {
            cluster.nats.kill();
            tokio::time::sleep(away).await;
            cluster.nats.revive();
        }
        Death::Way => {
            cluster.way.close().await;
            tokio::time::sleep(away).await;
            cluster.way.reopen().await.expect("its port is free");
        }
    }
}

/// Waits until nothing that had begun runs any more, as any node sees it. Only what a dead node ran need end by itself; the rest
/// is stopped, from any node.
#[expect(clippy::print_stdout, reason = "whoever looks for a fault needs it")]
async fn all_end(cluster: &Cluster, load: &Load, limit: Duration) -> Duration {
    let (http, began) = (client(), Instant::now());
    let deadline = Instant::now() + limit;
    let urls = cluster.urls();
    while !load.apps.iter().all(JoinHandle::is_finished) {
        if Instant::now() > deadline {
            for (url, name) in
                urls.iter().flat_map(|url| load.names.iter().map(move |it| (url, it)))
            {
                println!("{name} at {url}: {:?}", state(&http, url, name).await);
            }
            let ended: Vec<_> = load.apps.iter().map(JoinHandle::is_finished).collect();
            panic!("an app is told of no end: {ended:?} of {:?}", load.names);
        }
        for name in &load.names {
            let cancel = http.post(format!("{}/v1/channels/{name}/cancel", urls[0]));
            // What a dead node ran is not stopped by this.
            let _ = cancel.send().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for name in &load.names {
        for url in &urls {
            loop {
                let state = state(&http, url, name).await;
                let runs = state.as_ref().is_some_and(|state| {
                    let generations = state["generations"].as_array().expect("a list");
                    generations.iter().any(|it| it["state"] == "running")
                });
                if !runs {
                    break;
                }
                assert!(Instant::now() < deadline, "{name} at {url} still runs: {state:?}");
                let cancel = http.post(format!("{url}/v1/channels/{name}/cancel"));
                // A node whose way to NATS is not there again does not answer well.
                let _ = cancel.send().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    began.elapsed()
}

async fn state(http: &reqwest::Client, url: &str, name: &str) -> Option<Value> {
    let answer = http.get(format!("{url}/v1/channels/{name}")).send().await.expect("it answers");
    match answer.status().as_u16() {
        200 => Some(answer.json().await.expect("JSON")),
        // Nobody was told that it began.
        404 => None,
        status => panic!("{name} at {url}: {status}: {:?}", answer.text().await),
    }
}

/// A channel's events, as every node tells them; `None`: no node has it, and nobody was told of it. A node may hear of a succession
/// a moment after another one has been asked.
#[expect(clippy::print_stdout, reason = "a late agreement is a figure of the trial")]
async fn agreed(cluster: &Cluster, world: &World, name: &str) -> Option<Replayed> {
    let http = client();
    let mut differed: Option<Instant> = None;
    loop {
        let mut all = Vec::new();
        for node in &cluster.nodes {
            let told = replay(&http, &node.url, name, "0").await;
            let mut place = Place::new(world, name, 0);
            for (id, event, data) in told.iter().flatten().cloned() {
                place.take(id.as_deref(), &event, data);
            }
            all.push(told);
        }
        if all.iter().all(|told| *told == all[0]) {
            if let Some(since) = differed {
                println!("{name}: all nodes told the same only {:?} later", since.elapsed());
            }
            let told = all.swap_remove(0);
            let known = world.of(name, |it| it.events.len() + it.published.len());
            assert!(told.is_ok() || known == 0, "{name}: {told:?}");
            return told.ok();
        }
        if *differed.get_or_insert_with(Instant::now) + AGREED_WITHIN < Instant::now() {
            let told = all.iter().map(|told| told.as_ref().map(|told| (told.len(), told.last())));
            panic!("{name}: not all nodes tell the same: {:?}", told.collect::<Vec<_>>());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All nodes tell the same, and what clients were told holds.
async fn verify(cluster: &Cluster, world: &World, random: &mut StdRng, round: u32) {
    let http = client();
    let names = world.names();
    let all = names.len();
    for name in names {
        let lately = name.starts_with(&chats(round)) || name == "board";
        if !lately && all > 20 && random.random_bool(0.7) {
            continue;
        }
        let known = world.of(&name, |channel| channel.clone());
        let Some(told) = agreed(cluster, world, &name).await else { continue };
        for (cursor, data) in &known.published {
            let now = told.get(seq_of(cursor) as usize - 1);
            let (_, event, now) = now.unwrap_or_else(|| panic!("{name}: {cursor} is lost"));
            assert_eq!((&event[..], &now["data"]), ("custom", data), "{name}: {cursor}");
        }
        for cursor in &known.cursors {
            let node = &cluster.nodes[random.random_range(0..3)];
            let rest = replay(&http, &node.url, &name, cursor).await;
            let rest = rest.unwrap_or_else(|status| panic!("{name}: {cursor}: {status}"));
            let mut place = Place::new(world, &name, seq_of(cursor));
            for (id, event, data) in rest {
                place.take(id.as_deref(), &event, data);
            }
        }
        let state = state(&http, &cluster.nodes[0].url, &name).await.expect("it is there");
        for generation in state["generations"].as_array().expect("a list") {
            let id = generation["generation"].as_str().expect("an id");
            assert_ne!(generation["state"], "running", "{name}: {generation}");
            if known.finished.iter().any(|it| it == id) {
                assert_eq!(generation["state"], "finished", "{name}: its app was told so");
            }
            if generation["state"] == "failed" {
                let code = generation["error"]["code"].as_str().expect("a code");
                assert!(["gateway_lost", "cancelled"].contains(&code), "{name}: {generation}");
            }
        }
        world.of(&name, |channel| channel.cursors.clear());
    }
}

async fn generate(url: &str, channel: &str) {
    let body = json!({ "model": "sim-text", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    let call = client().post(format!("{url}/v1/chat/completions"));
    let answer = call.header("tokenway-channel", channel).json(&body).send().await;
    assert!(answer.expect("it answers").status().is_success());
}

/// A client, which is ended with its round.
#[expect(clippy::disallowed_methods, reason = "whoever begins it awaits it")]
fn run(client: impl Future<Output = Option<()>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Where it ended does not matter: something died.
        let _ = client.await;
    })
}

/// Who is there in a round.
struct Load {
    /// Who begin nothing more once this is pulled.
    apps: Vec<JoinHandle<()>>,
    /// On which channels.
    names: Vec<String>,
    others: Vec<JoinHandle<()>>,
    over: CancellationToken,
}

/// What the names of a round's chats begin with: they go on for many rounds, and not for all, since they are told whole after each.
fn chats(round: u32) -> String {
    format!("chat-{:02}-", round / 25)
}

/// Apps and viewers at all nodes, and somebody who publishes.
fn load(world: &Arc<World>, urls: &[String], random: &mut StdRng, round: u32) -> Load {
    let over = CancellationToken::new();
    let (mut apps, mut names, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for app in 0..3 {
        let channel = match app {
            0 => format!("{}{}", chats(round), random.random_range(0..3)),
            _ => format!("one-{round:03}-{app}"),
        };
        let url = urls.choose(random).expect("one lives").clone();
        apps.push(run(app_streams(Arc::clone(world), url, channel.clone(), over.clone())));
        for url in urls {
            others.push(run(view(Arc::clone(world), url.clone(), channel.clone())));
        }
        names.push(channel);
    }
    let url = urls.choose(random).expect("one lives").clone();
    others.push(run(publish(Arc::clone(world), url, random.random())));
    others.push(run(view(Arc::clone(world), urls[0].clone(), "board".to_owned())));
    Load { apps, names, others, over }
}

/// An app that streams one long answer after another.
async fn app_streams(
    world: Arc<World>,
    url: String,
    channel: String,
    over: CancellationToken,
) -> Option<()> {
    let http = client();
    while !over.is_cancelled() {
        let body = json!({ "model": "sim-long", "stream": true, "max_tokens": 300, "messages": [{ "role": "user", "content": "go" }] });
        let call = http.post(format!("{url}/v1/chat/completions")).json(&body);
        let answer = call.header("tokenway-channel", &channel).send().await.ok()?;
        match answer.status().as_u16() {
            200 => {}
            // Something runs on it at another node, or NATS is away.
            409 | 503 => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            status => panic!("{status}: {:?}", answer.text().await),
        }
        let generation = answer.headers()["tokenway-generation"].to_str().expect("text").to_owned();
        sse(answer, |_, _, data| {
            if data == "[DONE]" {
                world.of(&channel, |it| it.finished.push(generation.clone()));
            }
        })
        .await?;
    }
    Some(())
}

/// A viewer, from the beginning, as soon as there is one.
async fn view(world: Arc<World>, url: String, channel: String) -> Option<()> {
    let http = client();
    loop {
        let answer = http.get(format!("{url}/v1/channels/{channel}/events")).send().await.ok()?;
        if !answer.status().is_success() {
            assert!([404, 503].contains(&answer.status().as_u16()), "{}", answer.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let mut place = Place::new(&world, &channel, 0);
        sse(answer, |id, event, data| {
            place.take(id, event, serde_json::from_str(data).expect("JSON"));
        })
        .await?;
    }
}

/// Somebody who publishes, and notes what was acknowledged.
async fn publish(world: Arc<World>, url: String, salt: u32) -> Option<()> {
    let http = client();
    for n in 0.. {
        let data = json!({ "salt": salt, "n": n });
        let body = json!({ "type": "note", "data": data });
        let call = http.post(format!("{url}/v1/channels/board/events")).json(&body);
        let answer = call.send().await.ok()?;
        if !answer.status().is_success() {
            assert!([404, 409, 503].contains(&answer.status().as_u16()), "{}", answer.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let told: Value = answer.json().await.ok()?;
        let cursor = format!("{}.{}", told["epoch"].as_str().expect("an epoch"), told["seq"]);
        world.of("board", |channel| channel.published.push((cursor, data)));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(())
}
