//! What NATS holds of one channel is damaged, or more than memory should hold: whoever looks is told, and no other channel suffers.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokenway::{
    channel::{Ended, NoChannel, Step},
    event::Event,
    sequence::From,
    store::StoreError,
};
use tokio::time::Instant;

use crate::{
    nats::Nats,
    node::{ENDS_WITHIN, Node, key, within},
    support::{begin, finished},
    world::{Viewer, World},
};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_damaged_ends_for_whoever_looks_and_keeps_no_other_one_waiting() {
    let Some(nats) = Nats::start() else { return };
    let (a, b) = (Node::start(&nats.url()).await, Node::start(&nats.url()).await);
    let client = async_nats::connect(nats.url()).await.expect("it is there");
    let mut log = client.subscribe("test.log.*").await.expect("it is there");
    client.flush().await.expect("it is there");
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let subject = log.next().await.expect("its tenure").subject;
    begin(&channel, "gen_1").shown().await;
    let mut other = begin(&a.open("other").await, "gen_2");
    other.shown().await;
    let there = b.find("chat").await;
    let viewers = [&channel, &there].map(|channel| Viewer::of(&world, channel, From::Beginning));
    client.publish(subject, "what is no record".into()).await.expect("it is there");
    client.flush().await.expect("it is there");
    within(SOON, "who follows is told", || viewers[1].seen.lock().ended.is_some()).await;
    // Its writer learns as soon as it says more.
    let _ = begin(&channel, "gen_3");
    within(SOON, "who writes is told", || viewers[0].seen.lock().ended.is_some()).await;
    for viewer in &viewers {
        assert_eq!(viewer.seen.lock().ended, Some(Ended::Evicted));
    }
    let late = Node::start(&nats.url()).await;
    let found = late.channels.find(&key("chat")).await.err();
    assert!(matches!(found, Some(NoChannel::Store(StoreError::Damaged(_)))), "{found:?}");
    drop((other, viewers, channel, there, a));
    let there = b.find("other").await;
    within(ENDS_WITHIN, "what ran elsewhere ends", || there.status().running == 0).await;
    let began = Instant::now();
    late.channels.delete(&key("chat")).await.expect("it can be deleted");
    assert!(began.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_more_than_a_channel_may_take_is_read_folded() {
    let Some(nats) = Nats::start() else { return };
    let room = 256 << 10;
    let a = Node::with_room(&nats.url(), room).await;
    let channel = a.open("chat").await;
    let words = "x".repeat(10 << 10);
    for n in 0..100 {
        let mut producer = begin(&channel, &format!("gen_{n}"));
        producer.append(&mut [Event::text(words.clone())]).expect("room");
        producer.append(&mut [finished()]).expect("an end");
        producer.shown().await;
    }
    let b = Node::with_room(&nats.url(), room).await;
    let there = b.find("chat").await;
    assert_eq!((there.head(), there.status().generations.len()), (300, 100));
    assert!(there.bytes() <= 2 * room, "{} bytes", there.bytes());
    let mut reader = there.read(From::Beginning).expect("it is there");
    let Step::Snapshot(snapshot) = reader.step() else { panic!("its head is folded") };
    let last = snapshot.state.generations.last().expect("the last one");
    assert_eq!(last.first_choice().text.len(), words.len(), "the newest is there");
    // It goes on from there.
    let again = b.open("chat").await;
    let mut producer = begin(&again, "gen_more");
    producer.append(&mut [finished()]).expect("an end");
    producer.shown().await;
    within(SOON, "the first node follows", || channel.head() == 302).await;
}
