//! A stream of NATS takes nothing more, and the others do: nobody is told what would be lost.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, stream::DiscardPolicy};
use tokenway::{channel::Channel, sequence::From};

use crate::{
    nats::Nats,
    node::{ENDS_WITHIN, LEASE, Node, key, within},
    support::begin,
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
    let began = tokio::time::Instant::now();
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
