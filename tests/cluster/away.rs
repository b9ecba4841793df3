//! Nodes and NATS that go away: killed, cut off, and back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use impair::{Kind as Carries, Proxy};
use tokenway::{channel::Producer, event::Event, sequence::From};
use tokio::time::{Instant, interval};

use crate::{
    nats::Nats,
    node::{ENDS_WITHIN, LEASE, Node, within},
    support::{begin, finished},
    world::{Viewer, World, is_lost},
};

const SOON: Duration = Duration::from_secs(5);

/// A way to NATS that can be cut.
async fn way(nats: &Nats) -> (Proxy, String) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let to = SocketAddr::from(([127, 0, 0, 1], nats.port()));
    let proxy = Proxy::open(Carries::Tcp, any, to, 1).await.expect("a free port");
    let url = format!("nats://{}", proxy.local_addr());
    (proxy, url)
}

/// Says a word every 10 ms, for as long as it is told to.
async fn say(producer: &mut Producer, words: &mut u32, until: impl Fn() -> bool) {
    let mut ticks = interval(Duration::from_millis(10));
    let limit = Instant::now() + 4 * ENDS_WITHIN;
    while !until() {
        assert!(Instant::now() < limit, "it does not come");
        ticks.tick().await;
        let text = Event::text(format!("word {words} "));
        if producer.append(&mut [text]).is_err() {
            return;
        }
        *words += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_away_for_less_than_the_lease_is_noticed_by_nobody() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let (here, there) = (
        Viewer::of(&world, &channel, From::Beginning),
        Viewer::of(&world, &there, From::Beginning),
    );
    let mut words = 0;
    say(&mut producer, &mut words, || here.last_seq() > 20).await;
    nats.kill();
    let before = here.last_seq();
    say(&mut producer, &mut words, || here.last_seq() > before + 20).await;
    nats.revive();
    say(&mut producer, &mut words, || there.last_seq() > before + 30).await;
    producer.append(&mut [finished()]).expect("an end");
    let last = u64::from(words) + 2;
    for viewer in [&here, &there] {
        within(SOON, "all of it is seen", || viewer.last_seq() == last).await;
        let seen = viewer.seen.lock();
        assert_eq!((seen.whole() as u64, seen.rewinds.len()), (last, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_away_for_less_than_the_lease_ends_nobody_whenever_it_begins() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let epoch = channel.epoch();
    let there = b.find("chat").await;
    let mut words = 0;
    // At other phases of what the nodes say of themselves.
    for phase in 0..6 {
        let began = Instant::now();
        let calm = LEASE + phase * LEASE / 18;
        say(&mut producer, &mut words, || words_since(began, calm)).await;
        nats.kill();
        let began = Instant::now();
        say(&mut producer, &mut words, || words_since(began, LEASE * 6 / 10)).await;
        nats.revive();
    }
    producer.append(&mut [finished()]).expect("an end");
    let last = u64::from(words) + 2;
    within(SOON, "all of it is seen", || there.head() == last).await;
    assert_eq!((channel.epoch(), there.epoch()), (epoch, epoch), "nobody took over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_away_for_longer_stops_what_is_shown_and_then_it_goes_on() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let (here, there) = (
        Viewer::of(&world, &channel, From::Beginning),
        Viewer::of(&world, &there, From::Beginning),
    );
    let mut words = 0;
    nats.kill();
    let began = Instant::now();
    say(&mut producer, &mut words, || began.elapsed() > 2 * LEASE).await;
    assert!(a.channels.health().degraded.is_some(), "operators are told");
    let shown = here.last_seq();
    let said = words;
    say(&mut producer, &mut words, || words_since(began, 5 * LEASE / 2)).await;
    assert!(words > said + 10, "the provider is read on");
    assert_eq!(here.last_seq(), shown, "nothing more is shown");
    assert!(a.channels.create(channel.key().owner.clone()).await.is_err(), "nothing new begins");
    nats.revive();
    say(&mut producer, &mut words, || there.last_seq() > shown + 50).await;
    producer.append(&mut [finished()]).expect("it goes on: nobody took over");
    let last = u64::from(words) + 2;
    for viewer in [&here, &there] {
        within(SOON, "all of it is seen", || viewer.last_seq() == last).await;
        let seen = viewer.seen.lock();
        assert_eq!((seen.whole() as u64, seen.rewinds.len()), (last, 0), "in the same epoch");
    }
    within(SOON, "it does well again", || a.channels.health().degraded.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_wait_no_longer_ends_and_the_channel_goes_on() {
    let Some(mut nats) = Nats::start() else { return };
    let room = 64 << 20;
    let (a, b) =
        (Node::with_room(&nats.url(), room).await, Node::with_room(&nats.url(), room).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let epoch = channel.epoch();
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let (here, there) = (
        Viewer::of(&world, &channel, From::Beginning),
        Viewer::of(&world, &there, From::Beginning),
    );
    nats.kill();
    let mut taken = 1;
    while producer.append(&mut [Event::text("x".repeat(100 << 10))]).is_ok() {
        taken += 1;
        assert!(taken < 200, "it is bounded");
        tokio::task::yield_now().await;
    }
    assert!(producer.append(&mut [finished()]).is_err(), "there is no way to say its end yet");
    drop(producer);
    nats.revive();
    // What was taken comes, and then its end.
    for viewer in [&here, &there] {
        within(2 * SOON, "its end is seen", || viewer.last_seq() == taken + 1).await;
        let seen = viewer.seen.lock();
        assert_eq!(seen.whole() as u64, taken + 1);
        assert!(is_lost(&seen.events[&(taken + 1)]));
    }
    assert_ne!(channel.epoch(), epoch, "what was not taken had numbers, too");
    let mut producer = begin(&a.open("chat").await, "gen_2");
    producer.shown().await;
    producer.append(&mut [finished()]).expect("it goes on");
    within(SOON, "all of it is seen", || there.last_seq() == taken + 3).await;
}

fn words_since(began: Instant, span: Duration) -> bool {
    began.elapsed() > span
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_cut_off_is_replaced_and_its_viewers_are_rewound() {
    let Some(nats) = Nats::start() else { return };
    let (proxy, url) = way(&nats).await;
    let (a, b) = (Node::start(&url).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let epoch = channel.epoch();
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let (here, elsewhere) = (
        Viewer::of(&world, &channel, From::Beginning),
        Viewer::of(&world, &there, From::Beginning),
    );
    let mut words = 0;
    say(&mut producer, &mut words, || elsewhere.last_seq() > 20).await;
    proxy.close().await;
    let cut = Instant::now();
    let mut seen = elsewhere.last_seq();
    say(&mut producer, &mut words, || there.status().running == 0).await;
    let ended = cut.elapsed();
    println!("ended {ended:?} after the cut, with a lease of {LEASE:?}");
    assert!(ended <= LEASE + Duration::from_secs(1), "within the lease and a second: {ended:?}");
    assert_ne!(there.epoch(), epoch, "another writer has another epoch");
    within(SOON, "all of it is seen", || {
        seen = elsewhere.last_seq();
        seen == there.head()
    })
    .await;
    let last = elsewhere.seen.lock().events[&seen].clone();
    assert!(is_lost(&last), "explicitly: {last:?}");
    assert!(here.last_seq() > there.head(), "the viewers of the first had seen more");
    assert!(channel.epoch() == epoch && channel.status().running == 1, "it does not know yet");

    proxy.reopen().await.expect("its port is free");
    within(2 * SOON, "it learns", || channel.follows()).await;
    assert!(producer.append(&mut [finished()]).is_err(), "what was begun there says nothing more");
    drop(producer);
    within(SOON, "its viewer sees what is kept", || here.last_seq() == there.head()).await;
    let here = here.seen.lock();
    assert_eq!((here.rewinds.len(), here.rewinds[0].epoch), (1, epoch));
    assert_eq!(here.rewinds[0].valid_through + 1, there.head());
    assert_eq!(here.snapshots, 1, "it had seen more than what holds");
    assert_eq!((channel.epoch(), channel.status().running), (there.epoch(), 0));
    assert_eq!(channel.fold(), there.fold());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_catches_up() {
    let Some(nats) = Nats::start() else { return };
    let (proxy, url) = way(&nats).await;
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&url).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let viewer = Viewer::of(&world, &there, From::Beginning);
    let mut words = 0;
    say(&mut producer, &mut words, || viewer.last_seq() > 20).await;
    proxy.close().await;
    let before = words;
    let began = Instant::now();
    say(&mut producer, &mut words, || began.elapsed() > 2 * LEASE).await;
    assert!(words > before + 20);
    proxy.reopen().await.expect("its port is free");
    producer.append(&mut [finished()]).expect("an end");
    let last = u64::from(words) + 2;
    within(2 * SOON, "all of it is seen", || viewer.last_seq() == last).await;
    let seen = viewer.seen.lock();
    assert_eq!((seen.whole() as u64, seen.rewinds.len()), (last, 0));
}
