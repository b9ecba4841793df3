//! Nodes that all live: whatever is begun on one is seen, resumed, stopped, added to and deleted on any other.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use tokenway::{
    channel::{AppendError, CannotDelete, Ended, NoChannel},
    event::{Custom, Kind, Started},
    sequence::From,
    store::StoreError,
};
use tokio_util::sync::CancellationToken;

use crate::{
    nats::Nats,
    node::{Node, key, within},
    support::{Told, begin, finished},
    world::{Viewer, World},
};

const SOON: Duration = Duration::from_secs(5);

async fn three() -> Option<(Nats, [Node; 3])> {
    let nats = Nats::start()?;
    let url = nats.url();
    let nodes = [Node::start(&url).await, Node::start(&url).await, Node::start(&url).await];
    Some((nats, nodes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_on_one_node_is_seen_on_all() {
    let Some((_nats, [a, b, c])) = three().await else { return };
    let world = Arc::new(World::default());
    let mut random = StdRng::seed_from_u64(1);
    let channel = a.open("chat").await;
    let mut told = Told::new(Arc::clone(&channel));
    told.begin();
    channel.shown(1).await;
    let mut viewers = vec![Viewer::of(&world, &channel, From::Beginning)];
    for node in [&b, &c] {
        let there = node.find("chat").await;
        assert!(there.follows() && there.epoch() == channel.epoch());
        assert_eq!(there.status().running, 1);
        viewers.push(Viewer::of(&world, &there, From::Beginning));
    }
    for _ in 0..300 {
        told.say(&mut random);
        if told.said.len().is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
    }
    // One that comes in the middle, and one that comes back with what it has seen elsewhere.
    let late = b.find("chat").await;
    viewers.push(Viewer::of(&world, &late, From::Beginning));
    within(SOON, "something is seen", || viewers[0].last_seq() > 20).await;
    let cursor = viewers[0].seen.lock().cursor.expect("something was seen");
    let there = c.find("chat").await;
    within(SOON, "as much is there", || there.head() >= cursor.seq).await;
    let resumed = Viewer::of(&world, &there, From::Cursor(cursor));
    told.end_all(&mut random);
    let last = told.said.len() as u64;
    for viewer in &viewers {
        within(SOON, "everything is seen", || viewer.last_seq() == last).await;
        let seen = viewer.seen.lock();
        assert!(seen.events.values().eq(&told.said), "the same events");
        assert_eq!((seen.epochs.len(), seen.rewinds.len()), (1, 0));
    }
    within(SOON, "the rest is seen", || resumed.last_seq() == last).await;
    let first = resumed.seen.lock().events.keys().next().copied();
    assert_eq!(first, Some(cursor.seq + 1), "nothing twice");
    for node in [&a, &b, &c] {
        let there = node.find("chat").await;
        let (_, through, state) = there.fold();
        assert_eq!((through, there.status().running), (last, 0));
        assert_eq!(state, told.fold(last));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_stopped_from_another_node() {
    let Some((_nats, [a, b, _c])) = three().await else { return };
    let channel = a.open("chat").await;
    let stop = CancellationToken::new();
    let started = Started { id: "gen_1".into(), ..Started::default() };
    let mut producer = channel.begin(started, stop.clone()).expect("it is open");
    channel.shown(1).await;
    let there = b.find("chat").await;
    let unknown = tokenway::ident::GenerationId::claimed("gen_2");
    assert!(b.channels.cancel(&there, Some(&unknown)).await.is_err());
    assert!(!stop.is_cancelled());
    b.channels.cancel(&there, None).await.expect("it is there");
    assert!(stop.is_cancelled(), "when it is answered, it is done");
    producer.append(&mut [finished()]).expect("an end");
    within(SOON, "it has ended there", || there.status().running == 0).await;
    b.channels.cancel(&there, None).await.expect("stopping what has ended changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unnamed_channel_ends_on_all_nodes() {
    let Some((_nats, [a, b, c])) = three().await else { return };
    let world = Arc::new(World::default());
    let channel = a.channels.create(key("x").owner).await.expect("NATS is there");
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.channels.find(channel.key()).await.expect("it is there");
    let viewer = Viewer::of(&world, &there, From::Beginning);
    producer.append(&mut [finished()]).expect("an end");
    within(SOON, "it ends", || viewer.seen.lock().ended.is_some()).await;
    assert_eq!(viewer.seen.lock().ended, Some(Ended::Complete));
    let late = c.channels.find(channel.key()).await.expect("it is there");
    assert!(late.status().closed && late.head() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_may_say_more_and_one_writes() {
    let Some((_nats, [a, b, c])) = three().await else { return };
    let world = Arc::new(World::default());
    let mut random = StdRng::seed_from_u64(2);
    let first = a.open("chat").await;
    let mut told = Told::new(Arc::clone(&first));
    told.begin();
    told.say(&mut random);
    first.shown(told.said.len() as u64).await;
    // As long as something runs there, another node begins nothing here.
    let refused = b.channels.open(key("chat")).await.err();
    assert_eq!(refused, Some(StoreError::Elsewhere));
    // But what an app publishes is put on it there.
    let custom = |text: &str| {
        let data = bytes::Bytes::copy_from_slice(format!("{text:?}").as_bytes());
        Custom { kind: "note".into(), data }
    };
    let there = b.find("chat").await;
    let cursor = b.channels.publish(&there, custom("b")).await.expect("it is put there");
    assert_eq!((cursor.epoch, cursor.seq), (first.epoch(), told.said.len() as u64 + 1));
    told.end_all(&mut random);
    let last = first.status().last_seq.max(cursor.seq + 1);
    first.shown(last).await;
    let viewer = Viewer::of(&world, &first, From::Beginning);
    within(SOON, "everything is seen", || viewer.last_seq() == last).await;

    let epoch = first.epoch();
    let second = b.open("chat").await;
    assert!(!second.follows() && second.epoch() != epoch);
    let mut producer = begin(&second, "gen_b");
    producer.shown().await;
    assert_eq!(producer.cursor().seq, last + 1, "the seq goes on");
    within(SOON, "the first node follows", || first.follows() && first.head() == last + 1).await;
    within(SOON, "its viewer sees it", || viewer.last_seq() == last + 1).await;
    {
        let seen = viewer.seen.lock();
        assert_eq!(seen.rewinds.len(), 1, "it is told of the new writer");
        assert_eq!(seen.rewinds[0].valid_through, last, "and loses nothing");
        assert_eq!(seen.whole() as u64, last + 1);
    }
    // Whoever comes with a cursor of the first epoch continues.
    let third = c.find("chat").await;
    let resumed = Viewer::of(&world, &third, From::Cursor(cursor));
    within(SOON, "it continues", || resumed.last_seq() == last + 1).await;
    assert_eq!(resumed.seen.lock().snapshots, 0);
    // What the first node still wanted to say is not taken.
    let late = first.publish(custom("late"));
    assert_eq!(late, Err(AppendError::Store(StoreError::Fenced)));
    producer.append(&mut [finished()]).expect("an end");
    let cursor = a.channels.publish(&first, custom("a")).await.expect("it is put there");
    assert_eq!((cursor.epoch, cursor.seq), (second.epoch(), last + 3));
    within(SOON, "all have it", || {
        [&first, &second, &third].iter().all(|it| it.head() == last + 3)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_deleted_from_any_node_for_all() {
    let Some((_nats, [a, b, c])) = three().await else { return };
    let world = Arc::new(World::default());
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.shown().await;
    let there = b.find("chat").await;
    let viewers = [&channel, &there].map(|channel| Viewer::of(&world, channel, From::Beginning));
    assert_eq!(c.channels.delete(&key("chat")).await, Err(CannotDelete::Running));
    producer.append(&mut [finished()]).expect("an end");
    producer.shown().await;
    let at_c = c.find("chat").await;
    within(SOON, "it has ended there", || at_c.status().running == 0).await;
    drop(at_c);
    c.channels.delete(&key("chat")).await.expect("nothing runs");
    for viewer in &viewers {
        within(SOON, "viewers are told", || viewer.seen.lock().ended.is_some()).await;
        assert_eq!(viewer.seen.lock().ended, Some(Ended::Deleted));
    }
    drop((channel, there));
    for node in [&a, &b, &c] {
        within(SOON, "it is let go of", || node.channels.live(&key("chat")).is_none()).await;
        let found = node.channels.find(&key("chat")).await.err();
        assert_eq!(found, Some(NoChannel::Unknown));
        within(SOON, "nobody lists it", || node.channels.at_rest(&key("chat").owner).is_empty())
            .await;
    }
    // One that is made anew has nothing of it, and is not mistaken for it.
    let anew = b.open("chat").await;
    let mut producer = begin(&anew, "gen_2");
    producer.shown().await;
    let there = a.find("chat").await;
    assert_eq!((there.head(), there.epoch()), (1, anew.epoch()));
    producer.append(&mut [finished()]).expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rests_costs_no_memory_and_is_found_again() {
    let Some((_nats, [a, b, _c])) = three().await else { return };
    let mut random = StdRng::seed_from_u64(3);
    let channel = a.open("chat").await;
    let epoch = channel.epoch();
    let mut told = Told::new(channel);
    for _ in 0..30 {
        told.say(&mut random);
    }
    told.end_all(&mut random);
    let last = told.said.len() as u64;
    told.channel.shown(last).await;
    let said = told.said.clone();
    drop(told);
    a.stall();
    a.channels.sweep(tokio::time::Instant::now() + Duration::from_secs(60)).await;
    assert!(a.channels.all().is_empty());
    let rests = a.channels.at_rest(&key("chat").owner);
    assert_eq!((rests.len(), rests[0].last_seq, rests[0].epoch), (1, last, epoch));
    // The node that wrote it last goes on in its epoch.
    let again = a.open("chat").await;
    assert_eq!((again.epoch(), again.head()), (epoch, last));
    let mut producer = begin(&again, "gen_more");
    producer.shown().await;
    assert_eq!(producer.cursor().seq, last + 1);
    let world = Arc::new(World::default());
    let there = b.find("chat").await;
    let viewer = Viewer::of(&world, &there, From::Beginning);
    within(SOON, "all of it is seen", || viewer.last_seq() == last + 1).await;
    let seen = viewer.seen.lock();
    assert!(seen.events.values().take(said.len()).eq(&said));
    assert!(matches!(seen.events[&(last + 1)].kind, Kind::Started(_)));
    producer.append(&mut [finished()]).expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_is_gone_for_all_and_they_say_so() {
    let Some((_nats, [a, b, c])) = three().await else { return };
    let channel = a.open("chat").await;
    let mut producer = begin(&channel, "gen_1");
    producer.append(&mut [finished()]).expect("an end");
    producer.shown().await;
    drop((producer, channel));
    within(SOON, "all have heard of it", || {
        [&a, &b, &c].iter().all(|node| !node.channels.at_rest(&key("chat").owner).is_empty())
    })
    .await;
    for node in [&a, &b, &c] {
        node.channels.sweep(tokio::time::Instant::now() + 2 * crate::node::AFTER_END).await;
    }
    // For an hour, however often somebody asks, and whatever is swept meanwhile.
    let now = tokio::time::Instant::now();
    for minutes in [0, 20, 40, 58] {
        for node in [&a, &b, &c] {
            let found = node.channels.find(&key("chat")).await.err();
            assert_eq!(found, Some(NoChannel::Evicted), "{minutes} minutes later");
            node.channels.sweep(now + Duration::from_secs(60 * minutes)).await;
        }
    }
    for node in [&a, &b, &c] {
        node.channels.sweep(now + Duration::from_secs(60 * 62)).await;
    }
    for node in [&a, &b, &c] {
        let found = node.channels.find(&key("chat")).await.err();
        assert_eq!(found, Some(NoChannel::Unknown), "it is long gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_several_servers_will_do() {
    let Some(nats) = Nats::start() else { return };
    // Nobody listens at the first.
    let a = Node::start(&format!("nats://127.0.0.1:1, {}", nats.url())).await;
    let channel = a.open("chat").await;
    begin(&channel, "gen_1").shown().await;
}
