//! Delivery over real QUIC on loopback.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

#[path = "webtransport/impaired.rs"]
mod impaired;
mod support;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prost::Message as _;
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{Checked, Told, begin, channels, finished, named, unnamed};
use tokenway::{
    channel::Channels,
    clock,
    event::Event,
    ident::Owner,
    native::{Client, ClientError, Item, Target},
    sequence::From,
    session::{self, Closing, Session, Settings as SessionSettings, Shutdown},
    transport::{
        Transport,
        webtransport::{
            DeploymentSecret, Dialled, Endpoint, Keeper, Message, Request, Settings, Trust, dial,
        },
    },
    wire::proto::{
        self, client_message::Body as Say, control::Body as Answer, frame::News, server_message,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A gateway's delivery side, and nothing else of it.
struct Gateway {
    endpoint: Arc<Endpoint>,
    tracker: TaskTracker,
    /// Tells the sessions that have begun since it was put here to go.
    shutdown: Arc<Mutex<CancellationToken>>,
    accepting: tokio::task::JoinHandle<()>,
    trust: Trust,
}

/// Certificates and secret; kept over a restart.
struct State {
    directory: tempfile::TempDir,
}

impl State {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    async fn settings(&self, address: SocketAddr) -> Settings {
        let keeper = Keeper::open(self.directory.path(), clock::now_ms()).await.expect("kept");
        Settings {
            address,
            certificate: keeper.certificate().clone(),
            hashes: keeper.hashes().into(),
            secret: keeper.secret().clone(),
            node: "node-1".into(),
            counted: std::convert::identity,
        }
    }
}

/// How long a session may stay that was told to go.
const GRACE: Duration = Duration::from_secs(1);

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Gateway {
    async fn start(channels: &Arc<Channels>, state: &State) -> Self {
        Self::with(channels, state.settings(any_port()).await)
    }

    fn with(channels: &Arc<Channels>, settings: Settings) -> Self {
        let trust = Trust::Hashes(settings.hashes.clone());
        let endpoint = Arc::new(Endpoint::bind(settings).expect("loopback"));
        let (tracker, shutdown) = (TaskTracker::new(), Arc::<Mutex<CancellationToken>>::default());
        let accepting = tokio::spawn({
            let (endpoint, channels) = (Arc::clone(&endpoint), Arc::clone(channels));
            let (tracker, begins) = (tracker.clone(), Arc::clone(&shutdown));
            async move {
                while let Some((transport, request)) = endpoint.accept().await {
                    if let Some(why) = refusal(&request) {
                        tracker.spawn(async move { session::refuse(transport, &why).await });
                        continue;
                    }
                    let session = Session::new(
                        SessionSettings::default(),
                        Arc::clone(&channels),
                        Owner::default(),
                        transport.form(),
                    );
                    let begins = begins.lock().clone();
                    let shutdown = Shutdown { begins, grace: GRACE };
                    tracker.spawn(session::run(transport, session, shutdown));
                }
            }
        });
        Self { endpoint, tracker, shutdown, accepting, trust }
    }

    fn target(&self) -> Target {
        let port = self.endpoint.local_addr().port();
        Target {
            url: format!("https://127.0.0.1:{port}/v1/connect"),
            trust: self.trust.clone(),
            token: None,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(self.target()).await.expect("connects")
    }

    async fn dial(&self) -> Dialled {
        dial(&self.target().url, &self.trust).await.expect("connects")
    }

    /// Tells every session of now to go, and none that comes later.
    fn go_away(&self) {
        std::mem::take(&mut *self.shutdown.lock()).cancel();
    }

    /// As `kill -9` would.
    async fn kill(self) -> SocketAddr {
        let address = self.endpoint.local_addr();
        self.accepting.abort();
        let _ = self.accepting.await;
        Arc::into_inner(self.endpoint).expect("nobody else has it").kill().await;
        address
    }
}

fn refusal(request: &Request) -> Option<Closing> {
    let bad = request.query_value("token") == Some("bad");
    bad.then(|| Closing::Forbidden("the token is not valid".into()))
}

fn hello(subscriptions: Vec<proto::Subscribe>) -> proto::ClientMessage {
    let hello = proto::Hello { protocol: 1, subscriptions, ..proto::Hello::default() };
    proto::ClientMessage { request: 0, body: Some(Say::Hello(hello)) }
}

fn ping() -> proto::ClientMessage {
    proto::ClientMessage { request: 0, body: Some(Say::Ping(proto::Ping { nonce: 1 })) }
}

fn control(bytes: bytes::Bytes) -> Answer {
    match proto::ServerMessage::decode(bytes).expect("a server message").body {
        Some(server_message::Body::Control(control)) => control.body.expect("an answer"),
        other => panic!("the control stream holds control only: {other:?}"),
    }
}

fn hundreds_of_cuts() -> usize {
    match std::env::var_os("TOKENWAY_SOAK") {
        Some(_) => 2_000,
        None => 200,
    }
}

#[tokio::test]
async fn over_hundreds_of_cuts_each_event_comes_once_and_in_order() {
    let seed: u64 = std::env::var("TOKENWAY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("seed {seed} (TOKENWAY_SEED={seed} repeats it)");
    let mut random = StdRng::seed_from_u64(seed);
    let channels = channels(8 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut client = gateway.client().await;
    let mut told: Vec<Told> =
        (0..5).map(|n| Told::new(named(&channels, &format!("chat-{n}")))).collect();
    let mut checked = std::collections::HashMap::new();
    for (at, one) in told.iter().enumerate() {
        let from = [From::Beginning, From::Snapshot][at % 2];
        let id = client.subscribe(&one.id(), from, false);
        checked.insert(id, Checked::new(at, from));
    }
    let cuts = hundreds_of_cuts();
    for _ in 0..cuts {
        for one in &mut told {
            one.say(&mut random);
        }
        let time = Duration::from_micros(random.random_range(0..25_000));
        let until = tokio::time::Instant::now() + time;
        while !client.is_connected() || tokio::time::Instant::now() < until {
            let soon = Duration::from_millis(3);
            if let Ok(next) = tokio::time::timeout(soon, client.next()).await {
                let (id, item) = next.expect("the gateway keeps to the protocol");
                let one = checked.get_mut(&id).expect("subscribed");
                one.check(item, &told[one.channel]);
            }
        }
        client.drop_connection();
    }
    let behind = |checked: &std::collections::HashMap<_, Checked>| {
        checked.values().any(|one| one.told < told[one.channel].channel.head())
    };
    while behind(&checked) {
        let next = tokio::time::timeout(Duration::from_secs(20), client.next()).await;
        let (id, item) = next.expect("in time").expect("the gateway keeps to the protocol");
        let one = checked.get_mut(&id).expect("subscribed");
        one.check(item, &told[one.channel]);
    }
    checked.values().for_each(|one| one.assert_caught_up(&told[one.channel]));
    println!("{cuts} cuts, {} sessions", client.reconnects());
    // After the last cut there may be nothing left to come back for.
    assert!(client.reconnects() as usize >= cuts - 1, "each cut hit a session that stood");
}

#[tokio::test]
async fn two_hundred_channels_share_one_session() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut told: Vec<Told> = (0..200).map(|_| Told::new(unnamed(&channels))).collect();
    told.iter_mut().for_each(Told::begin);
    let mut client = gateway.client().await;
    let mut checked = std::collections::HashMap::new();
    for (at, one) in told.iter().enumerate() {
        let id = client.subscribe(&one.id(), From::Beginning, false);
        checked.insert(id, (Checked::new(at, From::Beginning), false));
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..5 {
        told.iter_mut().for_each(|one| one.say(&mut random));
        tokio::task::yield_now().await;
    }
    told.iter_mut().for_each(|one| one.end_all(&mut random));
    while checked.values().any(|(_, ended)| !ended) {
        let next = tokio::time::timeout(Duration::from_secs(20), client.next()).await;
        let (id, item) = next.expect("in time").expect("the gateway keeps to the protocol");
        let (one, ended) = checked.get_mut(&id).expect("subscribed");
        *ended = matches!(item, Item::End { .. });
        one.check(item, &told[one.channel]);
    }
    checked.values().for_each(|(one, _)| one.assert_caught_up(&told[one.channel]));
    assert_eq!(client.reconnects(), 0);
}

#[tokio::test]
async fn streams_of_ended_subscriptions_are_used_again() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut client = gateway.client().await;
    for _ in 0..6 {
        for _ in 0..50 {
            let channel = unnamed(&channels);
            let mut producer = begin(&channel, "gen");
            producer.append(&mut [Event::text("hi"), finished()]).expect("open");
            client.subscribe(channel.key().id.as_str(), From::Beginning, false);
        }
        let mut ended = 0;
        while ended < 50 {
            let next = tokio::time::timeout(Duration::from_secs(20), client.next()).await;
            let (_, item) = next.expect("in time").expect("the gateway keeps to the protocol");
            ended += usize::from(matches!(item, Item::End { .. }));
        }
    }
    assert_eq!(client.reconnects(), 0, "three hundred streams over one session");
}

#[tokio::test]
async fn a_reader_that_stops_delays_nobody_and_later_gets_a_snapshot() {
    let channels = channels(256 * 1024);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let channel = named(&channels, "noisy");
    begin(&channel, "gen_first").append(&mut [finished()]).expect("open");
    let mut slow = gateway.dial().await;
    let beginning = Some(proto::subscribe::From::Beginning(proto::Nothing {}));
    let wanted = proto::Subscribe {
        alias: 1,
        channel: "noisy".into(),
        from: beginning,
        times: false,
        delivery: 0,
    };
    slow.send(&hello(vec![wanted]));
    // Its first event has come; from here on it reads nothing.
    while !matches!(slow.next().await.expect("connected"), Message::Frame(_)) {}

    let mut fast = gateway.client().await;
    fast.subscribe("noisy", From::Beginning, false);
    let mut seen = 0;
    for round in 0..130 {
        // Each ends at once: what a running generation has said cannot be given up.
        let mut producer = begin(&channel, &format!("gen_{round}"));
        let mut events: Vec<Event> = (0..16).map(|_| Event::text("x".repeat(2_048))).collect();
        events.push(finished());
        producer.append(&mut events).expect("ended generations make room");
        while seen < channel.head() {
            let next = tokio::time::timeout(Duration::from_secs(5), fast.next()).await;
            match next.expect("nobody delays the fast one").expect("in order").1 {
                Item::Events { first_seq, events, .. } => {
                    assert_eq!(first_seq, seen + 1);
                    seen += events.len() as u64;
                }
                other => panic!("the fast one is never overtaken: {other:?}"),
            }
        }
    }
    let (mut last, mut snapshots) = (2, 0);
    while last < channel.head() {
        let next = tokio::time::timeout(Duration::from_secs(5), slow.next()).await;
        let Message::Frame(bytes) = next.expect("in time").expect("connected") else { continue };
        let frame = proto::Frame::decode(bytes).expect("a frame");
        match frame.news {
            None => {
                assert_eq!(frame.first_seq, last + 1);
                last += frame.events.len() as u64;
            }
            Some(News::Snapshot(snapshot)) => {
                assert_eq!(snapshot.cause(), proto::snapshot::Cause::Trimmed);
                assert!(snapshot.through > last);
                last = snapshot.through;
                snapshots += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(snapshots > 0, "retention overtook it, and it was told so");
}

/// Dials, kills the gateway, starts one with this secret at the same place, and tells what the client noticed how soon.
async fn what_is_noticed_after_a_restart(
    secret: Option<DeploymentSecret>,
) -> (Option<String>, Duration) {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut client = gateway.dial().await;
    client.send(&hello(Vec::new()));
    client.next().await.expect("welcome");
    let address = gateway.kill().await;
    let mut settings = state.settings(address).await;
    settings.secret = secret.unwrap_or(settings.secret);
    let _restarted = Gateway::with(&channels, settings);
    let restarted = Instant::now();
    let until = tokio::time::Instant::now() + Duration::from_millis(1_500);
    let mut heartbeat = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            message = client.next() => match message {
                Ok(_) => {}
                Err(error) => return (Some(error), restarted.elapsed()),
            },
            _ = heartbeat.tick() => client.send(&ping()),
            () = tokio::time::sleep_until(until) => return (None, restarted.elapsed()),
        }
    }
}

#[tokio::test]
async fn a_restarted_gateway_is_noticed_at_the_next_heartbeat() {
    let (error, after) = what_is_noticed_after_a_restart(None).await;
    println!("noticed after {after:?}: {error:?}");
    let error = error.expect("noticed long before any timer runs out");
    assert!(error.contains("reset") || error.contains("not connected"), "{error}");
}

#[tokio::test]
async fn with_other_keys_a_restart_is_not_noticed_that_soon() {
    let other = DeploymentSecret::new([9; 32]);
    assert_eq!(what_is_noticed_after_a_restart(Some(other)).await.0, None);
}

#[tokio::test]
async fn a_client_goes_on_where_it_was_when_the_gateway_restarts() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut told = [Told::new(named(&channels, "chat"))];
    let mut random = StdRng::seed_from_u64(3);
    (0..20).for_each(|_| told[0].say(&mut random));
    let mut client = gateway.client().await;
    client.subscribe("chat", From::Beginning, false);
    let mut checked = Checked::new(0, From::Beginning);
    let mut address = None;
    let mut gateway = Some(gateway);
    let mut restarted = None;
    while checked.told < told[0].channel.head() || address.is_none() {
        let next = tokio::time::timeout(Duration::from_secs(20), client.next()).await;
        checked.check(next.expect("in time").expect("in order").1, &told[0]);
        if let Some(gateway) = gateway.take() {
            address = Some(gateway.kill().await);
            let settings = state.settings(address.expect("just killed")).await;
            restarted = Some(Gateway::with(&channels, settings));
            (0..20).for_each(|_| told[0].say(&mut random));
        }
    }
    checked.assert_caught_up(&told[0]);
    assert!(restarted.is_some() && client.reconnects() > 0);
}

#[tokio::test]
async fn who_may_not_be_here_is_told_why() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let target = Target { token: Some("bad".into()), ..gateway.target() };
    let mut client = Client::connect(target).await.expect("accepted first, refused then");
    match client.next().await {
        Err(ClientError::Closed { code, .. }) => assert_eq!(code, "forbidden"),
        other => panic!("{other:?}"),
    }
    client = gateway.client().await;
    client.subscribe("nowhere", From::Beginning, false);
    match client.next().await {
        Err(ClientError::Refused { channel, code, .. }) => {
            assert_eq!((channel.as_str(), code.as_str()), ("nowhere", "channel_not_found"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_is_told_to_go_connects_again_before_it_leaves() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let channel = named(&channels, "chat");
    let mut producer = begin(&channel, "gen");
    let mut client = gateway.client().await;
    client.subscribe("chat", From::Beginning, false);
    let (mut seen, mut told) = (0, false);
    while client.reconnects() == 0 || seen < channel.head() {
        if client.reconnects() == 0 {
            producer.append(&mut [Event::text("on ")]).expect("open");
        }
        let soon = Duration::from_millis(20);
        if let Ok(next) = tokio::time::timeout(soon, client.next()).await {
            match next.expect("the gateway keeps to the protocol").1 {
                Item::Events { first_seq, events, .. } => {
                    assert_eq!(first_seq, seen + 1, "nothing is lost and nothing comes twice");
                    seen += events.len() as u64;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(client.is_connected(), "one of the two sessions stands at any time");
        if !std::mem::replace(&mut told, true) {
            gateway.go_away();
        }
    }
    assert_eq!(client.reconnects(), 1);
}

#[tokio::test]
async fn a_channel_that_is_left_is_not_told_of_any_more() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let (left, kept) = (named(&channels, "left"), named(&channels, "kept"));
    begin(&left, "gen").append(&mut [Event::text("a")]).expect("open");
    let mut kept_producer = begin(&kept, "gen");
    let mut client = gateway.client().await;
    let gone = client.subscribe("left", From::Beginning, false);
    let (id, _) = client.next().await.expect("the gateway keeps to the protocol");
    assert_eq!(id, gone);
    client.unsubscribe(gone);
    let stays = client.subscribe("kept", From::Beginning, false);
    begin(&left, "gen_2").append(&mut [Event::text("b")]).expect("open");
    kept_producer.append(&mut [Event::text("c"), finished()]).expect("open");
    let mut seen = 0;
    while seen < kept.head() {
        let (id, item) = client.next().await.expect("the gateway keeps to the protocol");
        assert_eq!(id, stays, "{item:?}");
        let Item::Events { events, .. } = item else { panic!("{item:?}") };
        seen += events.len() as u64;
    }
}

#[tokio::test]
async fn a_stopping_gateway_says_so_and_lets_its_sessions_end() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut client = gateway.dial().await;
    client.send(&hello(Vec::new()));
    let mut said = Vec::new();
    loop {
        match client.next().await {
            Ok(Message::Control(bytes)) => said.push(control(bytes)),
            Ok(Message::Frame(_)) => panic!("nothing was subscribed"),
            Err(_) => break,
        }
        if said.len() == 1 {
            gateway.go_away();
        }
    }
    let [Answer::Welcome(_), Answer::GoAway(away), Answer::Closing(closing)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        (away.grace_ms, closing.code.as_str(), closing.retry),
        (GRACE.as_millis() as u32, "shutdown", true)
    );
    gateway.tracker.close();
    gateway.tracker.wait().await;
    gateway.endpoint.close().await;
    gateway.accepting.await.expect("the accept loop ends with its endpoint");
}

#[tokio::test]
async fn a_new_certificate_serves_new_clients_and_leaves_the_others_alone() {
    let channels = channels(1 << 20);
    let state = State::new();
    let gateway = Gateway::start(&channels, &state).await;
    let mut before = gateway.dial().await;
    before.send(&hello(Vec::new()));
    before.next().await.expect("welcome");
    let other = State::new().settings(any_port()).await;
    gateway.endpoint.reload(&other.certificate, other.hashes.clone());
    assert_eq!(gateway.endpoint.certificate_hashes(), other.hashes);
    assert!(dial(&gateway.target().url, &gateway.trust).await.is_err(), "the old hash is no more");
    dial(&gateway.target().url, &Trust::Hashes(other.hashes)).await.expect("the new one is");
    before.send(&ping());
    assert!(matches!(before.next().await, Ok(Message::Control(_))), "it still stands");
}
