//! Delivery as a client sees it, over the in-memory carrier with latency, loss, re-ordering, small windows and cuts.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod support;

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{Checked, Told, Viewer, begin, channels, named, request, unnamed};
use tokenway::{
    channel::Channels,
    event::{Custom, Event},
    frame::{Form, Outgoing},
    ident::Owner,
    native::Follow,
    sequence::From,
    session::{self, Closing, Outcome, Session, Settings, Shutdown},
    transport::{
        Gone, Lane, Transport,
        memory::{self, Conditions, MemoryClient},
    },
    wire::{
        Framing,
        proto::{self, client_message::Body as Request, control::Body as Answer, server_message},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A client on the in-memory carrier.
struct Client {
    end: MemoryClient,
    framings: HashMap<u64, Framing>,
}

impl Client {
    fn connect(channels: &Arc<Channels>, conditions: Conditions, tracker: &TaskTracker) -> Self {
        let (gateway, end) = memory::connect(conditions);
        let session = Session::new(
            Settings::default(),
            Arc::clone(channels),
            Owner::default(),
            gateway.form(),
        );
        let shutdown = Shutdown { begins: CancellationToken::new(), grace: Duration::from_secs(1) };
        tracker.spawn(session::run(gateway, session, shutdown));
        Self { end, framings: HashMap::new() }
    }

    /// Takes in what arrives within `time`; false once the connection is gone.
    async fn pump(&mut self, time: Duration, viewer: &mut Viewer, told: &[Told]) -> bool {
        let until = tokio::time::Instant::now() + time;
        loop {
            match tokio::time::timeout_at(until, self.end.recv()).await {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(arrival)) => self.take(arrival, viewer, told),
            }
        }
    }

    fn take(&mut self, arrival: memory::Arrival, viewer: &mut Viewer, told: &[Told]) {
        let framing = self.framings.entry(arrival.stream).or_insert_with(|| Framing::new(64 << 20));
        framing.push(&arrival.bytes);
        while let Some(message) = framing.pop().expect("a delimited message") {
            if arrival.is_control {
                let message = proto::ServerMessage::decode(message).expect("a server message");
                let Some(server_message::Body::Control(control)) = message.body else {
                    panic!("the control stream holds control only");
                };
                viewer.control(control.body.expect("an answer"), told);
            } else {
                viewer.frame(proto::Frame::decode(message).expect("a frame"), told);
            }
        }
    }
}

fn conditions(random: &mut StdRng) -> Conditions {
    let ms = Duration::from_millis;
    Conditions {
        latency: ms(random.random_range(0..40)),
        jitter: ms(random.random_range(0..20)),
        loss: random.random_range(0.0..0.3),
        retransmission: ms(random.random_range(1..120)),
        window_bytes: 1 << random.random_range(7..17),
        seed: random.random(),
    }
}

#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    snapshots: usize,
    events: usize,
}

/// Appends, subscribes, drops, resumes and trims in an order that the seed says, and checks everything on the way.
async fn simulate(seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let tracker = TaskTracker::new();
    let channels = channels(1 << random.random_range(12..18));
    let mut told: Vec<Told> =
        (0..4).map(|n| Told::new(named(&channels, &format!("chat-{n}")))).collect();
    // One that closes with its generation.
    told.push(Told::new(unnamed(&channels)));
    told[4].begin();
    let mut viewer = Viewer::default();
    let max_streams = random.random_range(1..5);
    let interval_ms = [0, 1, 16, 100][random.random_range(0..4)];
    let mut client = Client::connect(&channels, conditions(&mut random), &tracker);
    client.end.send(viewer.hello(&told, max_streams, interval_ms));
    for _ in 0..400 {
        match random.random_range(0..10) {
            0..4 => {
                let at = random.random_range(0..told.len());
                for _ in 0..random.random_range(1..8) {
                    if told[at].is_open() {
                        told[at].say(&mut random);
                    }
                }
            }
            4 => {
                let at = random.random_range(0..told.len() - 1);
                match random.random_bool(0.5) {
                    true => told[at].end_one(&mut random),
                    false => told[at].publish(&mut random),
                }
            }
            5 if viewer.subscriptions.len() < 12 => {
                let from = [From::Beginning, From::Snapshot, From::Tail][random.random_range(0..3)];
                let alias = viewer.add(Checked::new(random.random_range(0..told.len()), from));
                let wanted = viewer.subscribe(alias, &told);
                client.end.send(request(1, Request::Subscribe(wanted)));
            }
            6 if random.random_bool(0.2) => {
                if let Some(alias) = viewer.subscriptions.keys().min().copied() {
                    client.end.send(request(2, Request::Unsubscribe(proto::Unsubscribe { alias })));
                }
            }
            7 | 8 if random.random_bool(0.7) => {
                client.end.cut();
                tally.cuts += 1;
                client = Client::connect(&channels, conditions(&mut random), &tracker);
                client.end.send(viewer.hello(&told, max_streams, interval_ms));
            }
            _ => {}
        }
        let time = Duration::from_millis(random.random_range(0..40));
        assert!(client.pump(time, &mut viewer, &told).await, "nobody but the test cuts");
    }
    told[4].end_all(&mut random);
    for _ in 0..10_000 {
        if viewer.is_caught_up(&told) {
            break;
        }
        client.pump(Duration::from_millis(100), &mut viewer, &told).await;
    }
    assert!(viewer.is_caught_up(&told), "everything said is told in the end");
    for one in viewer.subscriptions.values() {
        one.assert_caught_up(&told[one.channel]);
        tally.snapshots += one.snapshots;
    }
    tally.events = told.iter().map(|one| one.said.len()).sum();
    drop(client);
    tracker.close();
    tracker.wait().await;
    tally
}

fn cases() -> u64 {
    let given = std::env::var("TOKENWAY_CASES").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(if std::env::var_os("TOKENWAY_SOAK").is_some() { 2_000 } else { 200 })
}

#[test]
fn over_ten_thousand_cuts_each_event_comes_once_and_in_order_or_a_snapshot_says_so() {
    let first_seed: u64 = std::env::var("TOKENWAY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("first seed {first_seed} (TOKENWAY_SEED={first_seed} repeats it)");
    let mut total = Tally::default();
    for seed in (0..cases()).map(|n| first_seed.wrapping_add(n)) {
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let tally = runtime.block_on(simulate(seed));
        total.cuts += tally.cuts;
        total.snapshots += tally.snapshots;
        total.events += tally.events;
    }
    println!("{total:?}");
    assert!(total.snapshots > 0, "retention overtook somebody");
    assert!(cases() < 200 || total.cuts >= 10_000, "{total:?}");
}

/// A carrier whose client grants no streams beside the control stream.
struct Stingy(memory::Memory);

impl Transport for Stingy {
    fn form(&self) -> Form {
        self.0.form()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        self.0.poll_recv(cx)
    }

    fn poll_ready(&mut self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        match lane {
            Lane::Control => self.0.poll_ready(lane, cx),
            Lane::Own(_) | Lane::Overflow => Poll::Ready(Err(Gone::TooFewStreams)),
        }
    }

    fn start_send(&mut self, lane: Lane, frame: Outgoing) {
        self.0.start_send(lane, frame);
    }

    fn finish(&mut self, lane: Lane) {
        self.0.finish(lane);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_close(cx)
    }
}

/// Runs a session on a carrier, says these things, and gives how it ended and the code of its last message.
async fn last_word(
    channels: &Arc<Channels>,
    wrap: impl AsyncFnOnce(memory::Memory, Session, Shutdown) -> Outcome,
    says: &[Bytes],
) -> (Outcome, String) {
    let (gateway, mut end) = memory::connect(Conditions::default());
    let session =
        Session::new(Settings::default(), Arc::clone(channels), Owner::default(), gateway.form());
    let shutdown = Shutdown { begins: CancellationToken::new(), grace: Duration::from_secs(1) };
    says.iter().for_each(|message| end.send(message.clone()));
    let read = async {
        let mut framing = Framing::new(1 << 20);
        let mut last = String::new();
        while let Some(arrival) = end.recv().await {
            framing.push(&arrival.bytes);
            while let Some(message) = framing.pop().expect("delimited") {
                let message = proto::ServerMessage::decode(message).expect("a server message");
                if let Some(server_message::Body::Control(control)) = message.body
                    && let Some(Answer::Closing(closing)) = control.body
                {
                    last = closing.code;
                }
            }
        }
        last
    };
    tokio::join!(wrap(gateway, session, shutdown), read)
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_closed_after_five_seconds() {
    let began = tokio::time::Instant::now();
    let (outcome, code) = last_word(&channels(1 << 20), session::run, &[]).await;
    assert_eq!(
        (outcome, code.as_str()),
        (Outcome::Closed(Closing::HelloExpected), "hello_expected")
    );
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_closes_the_session() {
    let (outcome, code) =
        last_word(&channels(1 << 20), session::run, &[Bytes::from_static(&[0xff])]).await;
    assert!(matches!(outcome, Outcome::Closed(Closing::BadMessage(_))));
    assert_eq!(code, "bad_message");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_grants_too_few_streams_is_told_so() {
    let channels = channels(1 << 20);
    named(&channels, "chat").publish(Custom::default()).expect("open");
    let from = Some(proto::subscribe::From::Beginning(proto::Nothing {}));
    let wanted =
        proto::Subscribe { alias: 1, channel: "chat".into(), from, times: false, delivery: 0 };
    let hello =
        proto::Hello { protocol: 1, subscriptions: vec![wanted], ..proto::Hello::default() };
    let run =
        async |gateway, session, shutdown| session::run(Stingy(gateway), session, shutdown).await;
    let (outcome, code) = last_word(&channels, run, &[request(0, Request::Hello(hello))]).await;
    assert!(matches!(outcome, Outcome::Closed(Closing::Limit(_))));
    assert_eq!(code, "limit");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_at_the_end_does_not_hold_the_gateway_up() {
    let (gateway, end) = memory::connect(Conditions::default());
    let began = tokio::time::Instant::now();
    session::refuse(gateway, &Closing::Forbidden("no".into())).await;
    assert_eq!(began.elapsed().as_secs(), 1);
    drop(end);
}

/// One event, from its append to its frame's arrival, after a quiet time.
#[tokio::test(start_paused = true)]
async fn the_first_event_after_a_quiet_time_waits_for_no_tick() {
    let channels = channels(1 << 20);
    let mut told = [Told::new(named(&channels, "chat"))];
    told[0].begin();
    let mut viewer = Viewer::default();
    viewer.add(Checked::new(0, From::Beginning));
    let tracker = TaskTracker::new();
    let mut client = Client::connect(&channels, Conditions::default(), &tracker);
    client.end.send(viewer.hello(&told, 64, 500));
    client.pump(Duration::from_secs(2), &mut viewer, &told).await;
    let mut random = StdRng::seed_from_u64(1);
    for expected_ms in [0, 500, 500] {
        told[0].say(&mut random);
        let began = tokio::time::Instant::now();
        while !viewer.is_caught_up(&told) {
            client.pump(Duration::from_millis(1), &mut viewer, &told).await;
        }
        let took = began.elapsed().as_millis() as u64;
        assert!((expected_ms..=expected_ms + 3).contains(&took), "{took} ms, not {expected_ms}");
    }
}

/// After each burst nothing more is said until all of it has come, so that a wake-up that is lost is lost for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_on_another_thread_never_leaves_a_session_asleep() {
    for (interval_ms, rounds) in [(0, 4_000), (1, 300)] {
        let channels = channels(8 << 20);
        let channel = named(&channels, "chat");
        let (gateway, mut end) = memory::connect(Conditions::default());
        let form = gateway.form();
        let session =
            Session::new(Settings::default(), Arc::clone(&channels), Owner::default(), form);
        let shutdown = Shutdown { begins: CancellationToken::new(), grace: Duration::ZERO };
        let running = tokio::spawn(session::run(gateway, session, shutdown));
        let from = Some(proto::subscribe::From::Beginning(proto::Nothing {}));
        let wanted =
            proto::Subscribe { alias: 1, channel: "chat".into(), from, times: false, delivery: 0 };
        let hello = proto::Hello {
            protocol: 1,
            frame_interval_ms: Some(interval_ms),
            subscriptions: vec![wanted],
            ..proto::Hello::default()
        };
        end.send(request(0, Request::Hello(hello)));
        let (bursts, asked) = std::sync::mpsc::sync_channel::<u64>(1);
        let writer = std::thread::spawn(move || {
            let mut producer = begin(&channel, "gen");
            for burst in asked {
                for _ in 0..burst {
                    producer.append(&mut [Event::text("x")]).expect("open");
                    (0..burst * 37 % 400).for_each(|_| std::hint::spin_loop());
                }
            }
        });
        let mut framings: HashMap<u64, Framing> = HashMap::new();
        let mut follow = Follow::new(From::Beginning, false);
        let mut said = 1;
        for round in 0..rounds {
            let burst = 1 + round % 11;
            said += burst;
            bursts.send(burst).expect("the writer listens");
            while follow.cursor().is_none_or(|cursor| cursor.seq < said) {
                let arrival = tokio::time::timeout(Duration::from_secs(5), end.recv()).await;
                let arrival = arrival.expect("a session sleeps").expect("nobody cuts");
                let framing =
                    framings.entry(arrival.stream).or_insert_with(|| Framing::new(1 << 20));
                framing.push(&arrival.bytes);
                while let Some(message) = framing.pop().expect("delimited") {
                    follow_along(&mut follow, arrival.is_control, message);
                }
            }
        }
        drop((bursts, end));
        writer.join().expect("it does not panic");
        running.await.expect("it does not panic");
    }
}

fn follow_along(follow: &mut Follow, is_control: bool, message: Bytes) {
    if !is_control {
        let frame = proto::Frame::decode(message).expect("a frame");
        follow.frame(frame).expect("no gap");
        return;
    }
    let message = proto::ServerMessage::decode(message).expect("a server message");
    if let Some(server_message::Body::Control(control)) = message.body
        && let Some(Answer::Subscribed(subscribed)) = control.body
    {
        follow.subscribed(&subscribed).expect("no gap");
    }
}
