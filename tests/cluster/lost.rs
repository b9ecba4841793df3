//! NATS loses what it had acknowledged: its machine failed before it had synced. No number that anybody was shown ever means
//! anything else, and nobody is left behind.

use std::{sync::Arc, time::Duration};

use tokenway::{
    channel::{Channel, NoChannel},
    event::Custom,
    sequence::{Cursor, From},
};
use tokio::time::Instant;

use crate::{
    nats::Nats,
    node::{Node, key, within},
    support::{begin, finished},
    world::{Viewer, World, is_lost},
};

const SOON: Duration = Duration::from_secs(5);

/// Publishes, however long NATS takes to be there.
async fn publish(node: &Node, channel: &Arc<Channel>, text: &str) -> Cursor {
    let data = bytes::Bytes::copy_from_slice(format!("{text:?}").as_bytes());
    let custom = Custom { kind: "note".into(), data };
    let began = Instant::now();
    loop {
        match node.channels.publish(channel, custom.clone()).await {
            Ok(cursor) => return cursor,
            Err(error) => assert!(began.elapsed() < SOON, "{text}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nats_lost_is_said_again_under_no_number_that_was_shown() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let kept = publish(&a, &channel, "kept").await;
    let copy = nats.copy();
    let there = b.find("chat").await;
    let viewers = [&channel, &there].map(|channel| Viewer::of(&world, channel, From::Beginning));
    let lost = publish(&a, &channel, "lost").await;
    assert_eq!((lost.epoch, lost.seq), (kept.epoch, kept.seq + 1));
    for viewer in &viewers {
        within(SOON, "it is shown", || viewer.last_seq() == lost.seq).await;
    }
    nats.go_back_to(&copy);
    let anew = publish(&a, &channel, "anew").await;
    assert_ne!(anew.epoch, lost.epoch, "its number was another one's");
    for (viewer, channel) in viewers.iter().zip([&channel, &there]) {
        within(SOON, "it is shown what is kept", || viewer.last_seq() == anew.seq).await;
        let rewinds = viewer.seen.lock().rewinds.clone();
        let last = rewinds.last().expect("it is told that something is lost");
        assert_eq!(last.valid_through, kept.seq);
        assert_eq!(channel.epoch(), anew.epoch);
    }
    assert_eq!(channel.fold(), there.fold());
    // Whoever was away meanwhile is told so, too.
    let late = Viewer::of(&world, &there, From::Cursor(lost));
    within(SOON, "it is shown what is kept", || late.last_seq() == anew.seq).await;
    assert_eq!(late.seen.lock().rewinds[0].valid_through, kept.seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_rested_is_gone_on_with_in_a_new_epoch_where_nats_lost_some_of_it() {
    let Some(mut nats) = Nats::start() else { return };
    let a = Node::start(&nats.url()).await;
    a.stall();
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    publish(&a, &channel, "kept").await;
    let copy = nats.copy();
    let lost = publish(&a, &channel, "lost").await;
    let viewer = Viewer::of(&world, &channel, From::Beginning);
    within(SOON, "it is shown", || viewer.last_seq() == lost.seq).await;
    drop((viewer, channel));
    // Nobody holds it any more once its viewer is gone.
    let began = Instant::now();
    while !a.channels.all().is_empty() {
        assert!(began.elapsed() < SOON, "it is let go of");
        a.channels.sweep(Instant::now() + Duration::from_secs(60)).await;
    }
    nats.go_back_to(&copy);
    let again = loop {
        match a.channels.open(key("chat")).await {
            Ok(channel) => break channel,
            Err(error) => assert!(began.elapsed() < 2 * SOON, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let anew = publish(&a, &again, "anew").await;
    assert_ne!(anew.epoch, lost.epoch);
    let viewer = Viewer::of(&world, &again, From::Cursor(lost));
    within(SOON, "it is shown what is kept", || viewer.last_seq() == anew.seq).await;
    assert_eq!(viewer.seen.lock().rewinds.len(), 1, "and told that something is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_hears_what_is_said_after_nats_lost_something() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    publish(&a, &channel, "kept").await;
    let copy = nats.copy();
    let mut last = channel.head();
    for n in 0..30 {
        last = publish(&a, &channel, &format!("lost {n}")).await.seq;
    }
    let there = b.find("chat").await;
    let viewer = Viewer::of(&world, &there, From::Beginning);
    within(SOON, "all of it is seen", || viewer.last_seq() == last).await;
    nats.go_back_to(&copy);
    // Even if nothing is said: what is lost is taken back.
    within(SOON, "it is told what is left", || viewer.last_seq() == 1).await;
    for n in 0..3 {
        let cursor = publish(&a, &channel, &format!("anew {n}")).await;
        within(SOON, "it hears of it", || viewer.last_seq() == cursor.seq).await;
    }
    assert_eq!(channel.fold(), there.fold());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_when_nats_lost_something_ends_and_all_nodes_know_what_there_is() {
    let Some(mut nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let epoch = channel.epoch();
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let copy = nats.copy();
    let there = b.find("chat").await;
    let viewers = [&channel, &there].map(|channel| Viewer::of(&world, channel, From::Beginning));
    producer.append(&mut [finished()]).expect("an end");
    producer.shown().await;
    let other = a.open("other").await;
    publish(&a, &other, "lost").await;
    within(SOON, "it is heard of", || b.channels.may_have(&key("other"))).await;
    drop(other);
    for viewer in &viewers {
        within(SOON, "its end is shown", || viewer.last_seq() == 2).await;
    }
    nats.go_back_to(&copy);
    for (viewer, channel) in viewers.iter().zip([&channel, &there]) {
        within(SOON, "it ends in a new epoch", || {
            let state = channel.status();
            state.running == 0 && state.epoch != epoch && viewer.last_seq() == 2
        })
        .await;
        let last = channel.fold().2;
        assert!(last.generations[0].end.is_some(), "explicitly");
    }
    let late = Viewer::of(&world, &there, From::Beginning);
    within(SOON, "its end is shown", || late.last_seq() == 2).await;
    assert!(is_lost(&late.seen.lock().events[&2]));
    // The log says how channels stand, and the log has lost one.
    for node in [&a, &b] {
        within(SOON, "it is known to be lost", || {
            node.channels.at_rest(&key("x").owner).len() == 1
        })
        .await;
        // One that was in memory is let go of a little later.
        within(SOON, "it is let go of", || node.channels.live(&key("other")).is_none()).await;
        let found = node.channels.find(&key("other")).await.err();
        assert_eq!(found, Some(NoChannel::Unknown));
    }
}
