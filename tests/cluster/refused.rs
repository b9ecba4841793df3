//! A stream of NATS takes nothing more, and the others do: nobody is told what would be lost.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, stream::DiscardPolicy};
use tokenway::{channel::Channel, event::Event, sequence::From};
use tokio::time::Instant;

use crate::{
    nats::Nats,
    node::{AFTER_END, ENDS_WITHIN, LEASE, Node, key, within},
    support::{begin, finished},
    world::{Viewer, World},
};

const SOON: Duration = Duration::from_secs(5);

/// From now on a stream takes no more messages than it holds, or as many as there may be.
async fn fill(nats: &Nats, stream: &str, full: bool) {
    let client = async_nats::connect(nats.url()).await.expect("it is there");
    let context = jetstream::new(client);
    let mut stream = context.get_stream(stream).await.expect("it is there");
    let info = stream.info().await.expect("it answers");
    let (messages, mut config) = (info.state.messages, info.config.clone());
    config.discard = if full { DiscardPolicy::New } else { DiscardPolicy::Old };
    config.max_messages = if full { messages as i64 } else { -1 };
    context.update_stream(config).await.expect("it may be changed");
}

/// That nothing of it is shown for a while.
async fn is_not_shown(channel: &Arc<Channel>, seq: u64) {
    let began = Instant::now();
    while began.elapsed() < LEASE / 2 {
        assert!(channel.head() < seq, "nobody is told yet");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_that_something_began_before_all_nodes_can_know() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    begin(&a.open("first").await, "gen_1").shown().await;
    fill(&nats, "test_INDEX", true).await;
    let channel = a.open("chat").await;
    let producer = begin(&channel, "gen_2");
    is_not_shown(&channel, 1).await;
    fill(&nats, "test_INDEX", false).await;
    within(SOON, "then they are", || channel.head() == 1).await;
    // Should it die now, another one ends what it began, whatever it has said since.
    within(SOON, "it is known", || b.channels.may_have(&key("chat"))).await;
    drop((producer, channel, a));
    let there = b.find("chat").await;
    within(ENDS_WITHIN, "it ends", || there.status().running == 0 && there.head() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_about_to_begin_and_never_did_is_forgotten() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    begin(&a.open("first").await, "gen_1").shown().await;
    fill(&nats, "test_LOG", true).await;
    let channel = a.channels.create(key("x").owner).await.expect("NATS is there");
    let producer = begin(&channel, "gen_2");
    let unborn = channel.key().clone();
    within(SOON, "it is foretold", || b.channels.may_have(&unborn)).await;
    assert!(b.channels.find(&unborn).await.is_err(), "it is not there yet");
    assert!(b.channels.may_have(&unborn), "and may come");
    drop((producer, channel, a));
    within(ENDS_WITHIN, "it does not come any more", || !b.channels.may_have(&unborn)).await;
    fill(&nats, "test_LOG", false).await;
    // Nor does whoever comes later hear of it.
    let c = Node::start(&nats.url()).await;
    assert!(!c.channels.may_have(&unborn) && c.channels.may_have(&key("first")));
    let world = Arc::new(World::default());
    let first = c.find("first").await;
    let viewer = Viewer::of(&world, &first, From::Beginning);
    within(ENDS_WITHIN, "what had begun ends", || viewer.last_seq() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nats_refuses_is_shown_for_no_longer_than_the_lease_and_operators_are_told() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let viewers = [&channel, &there].map(|channel| Viewer::of(&world, channel, From::Beginning));
    fill(&nats, "test_LOG", true).await;
    let began = Instant::now();
    let mut words = 1;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let (mut said_late, mut shown) = (0, 0);
    while began.elapsed() < 2 * LEASE {
        ticks.tick().await;
        producer.append(&mut [Event::text(format!("word {words} "))]).expect("room");
        words += 1;
        if began.elapsed() > 3 * LEASE / 2 {
            assert!(said_late == 0 || viewers[0].last_seq() == shown, "nothing more is shown");
            (said_late, shown) = (said_late + 1, viewers[0].last_seq());
        }
    }
    assert!(said_late > 10 && shown < words, "what it says waits");
    let health = a.channels.health();
    assert!(health.refuses && health.degraded.expect("operators are told").contains("room"));
    assert!(b.channels.health().degraded.is_none(), "the other one has nothing to say");
    fill(&nats, "test_LOG", false).await;
    producer.append(&mut [finished()]).expect("it goes on");
    for viewer in &viewers {
        within(SOON, "all of it is seen", || viewer.last_seq() == words + 1).await;
        let seen = viewer.seen.lock();
        assert_eq!((seen.whole() as u64, seen.rewinds.len()), (words + 1, 0), "in the same epoch");
    }
    within(SOON, "it does well again", || a.channels.health().degraded.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_makes_room_where_there_is_none() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    a.stall();
    b.stall();
    for name in ["old", "older"] {
        let mut producer = begin(&a.open(name).await, "gen_1");
        producer.append(&mut [finished()]).expect("an end");
        producer.shown().await;
    }
    let owner = key("x").owner;
    within(SOON, "all have heard of it", || {
        [&a, &b].iter().all(|node| {
            let known = node.channels.at_rest(&owner);
            known.len() == 2 && known.iter().all(|it| it.running == 0)
        })
    })
    .await;
    fill(&nats, "test_LOG", true).await;
    for node in [&a, &b] {
        // Those in memory first, then those at rest.
        node.channels.sweep(Instant::now() + 2 * AFTER_END).await;
        node.channels.sweep(Instant::now() + 2 * AFTER_END).await;
    }
    for node in [&a, &b] {
        for name in ["old", "older"] {
            assert!(node.channels.find(&key(name)).await.is_err(), "{name} is gone");
        }
        assert!(node.channels.at_rest(&owner).is_empty());
    }
    // So something new fits in.
    begin(&a.open("new").await, "gen_1").shown().await;
}
