//! The seam to the store, from the channel's side: what is not safe yet is shown to nobody, what was kept comes back with
//! its numbers, a store that is lost changes the epoch and nothing else, and another node's writing is shown like one's own.

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use support::{begin, finished, ready};
use tokenway::{
    channel::{AppendError, Cause, Channel, Channels, Ended, NoChannel, Reader, Retention, Step},
    event::{Custom, Event, Failed, FailureCode, Kind},
    ident::{ChannelId, ChannelKey, GenerationId, Owner},
    sequence::{Cursor, Epoch, From, Past},
    snapshot::End,
    store::{
        Ack, AtRest, Commit, Element, Following, Forgotten, Health, Intent, Kept, News, NotOpened,
        Pending, Progress, Promise, Role, Slice, Store, StoreError, Tenure, Writer,
    },
    wire,
};
use tokio::time::Instant;

/// Keeps what rests in memory, and says that something is reached only when the test says so.
#[derive(Default)]
struct Slow {
    at_rest: Mutex<HashMap<ChannelKey, Kept>>,
    /// It never comes to opening this one.
    stuck: Mutex<Option<ChannelKey>>,
    pen: Arc<Mutex<Pen>>,
}

#[derive(Default)]
struct Pen {
    progress: Option<Weak<dyn Progress>>,
    commits: Vec<Commit>,
    last_seq: u64,
    open: u32,
    /// It was lost before anybody could be told.
    lost: bool,
    /// Another node writes.
    elsewhere: bool,
}

impl Slow {
    fn reached(&self, seq: u64) {
        let progress = self.pen.lock().progress.clone();
        progress.and_then(|it| it.upgrade()).expect("somebody writes").reached(seq);
    }

    /// Another node did this.
    fn news(&self, news: News) {
        let progress = self.pen.lock().progress.clone();
        progress.and_then(|it| it.upgrade()).expect("somebody follows").news(news);
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(SlowWriter(Arc::clone(&self.pen)))
    }

    fn follows(&self) -> Role {
        Role::Follows(Box::new(Followed(Arc::clone(&self.pen))))
    }

    fn orphan(&self, through: u64) {
        let progress = self.pen.lock().progress.clone();
        progress.and_then(|it| it.upgrade()).expect("somebody writes").orphaned(through);
    }
}

impl Store for Slow {
    fn open<'a>(
        &'a self,
        key: &'a ChannelKey,
        intent: Intent,
    ) -> Pending<'a, Result<Tenure, NotOpened>> {
        Box::pin(async move {
            // Long enough for others to ask as well.
            tokio::task::yield_now().await;
            if self.stuck.lock().as_ref() == Some(key) {
                std::future::pending::<()>().await;
            }
            self.pen.lock().open += 1;
            let kept = match (self.at_rest.lock().get(key), intent) {
                (Some(kept), _) => kept.clone(),
                (None, Intent::Find) => return Err(NotOpened::Unknown),
                (None, _) => Kept::nothing(intent == Intent::Name, Epoch::random()),
            };
            let role = match self.pen.lock().elsewhere {
                true => self.follows(),
                false => Role::Writes(self.writer()),
            };
            Ok(Tenure { kept, role })
        })
    }

    fn keeps(&self) -> bool {
        true
    }

    fn rest<'a>(&'a self, key: &'a ChannelKey, kept: Kept) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.at_rest.lock().insert(key.clone(), kept);
            Ok(())
        })
    }

    fn forget<'a>(
        &'a self,
        key: &'a ChannelKey,
        _: Forgotten,
    ) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.at_rest.lock().remove(key);
            Ok(())
        })
    }

    fn sweep(&self, _: u64, _: Duration) -> Pending<'_, ()> {
        Box::pin(async {})
    }

    fn unfinished(&self) -> Vec<ChannelKey> {
        self.at_rest.lock().keys().cloned().collect()
    }

    fn may_have(&self, key: &ChannelKey) -> bool {
        self.at_rest.lock().contains_key(key)
    }

    fn at_rest(&self, _: &Owner) -> Vec<AtRest> {
        Vec::new()
    }

    fn health(&self) -> Health {
        Health::default()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

struct SlowWriter(Arc<Mutex<Pen>>);

impl Writer for SlowWriter {
    fn report_to(&mut self, progress: Weak<dyn Progress>) -> Result<(), StoreError> {
        let mut pen = self.0.lock();
        pen.progress = Some(progress);
        match pen.lost {
            true => Err(StoreError::Unavailable("it is lost".to_owned())),
            false => Ok(()),
        }
    }

    fn append(&mut self, element: Element<'_>) {
        let mut pen = self.0.lock();
        let follows = element.seq == pen.last_seq + 1 || pen.last_seq == 0;
        assert!(follows, "seqs have no gap");
        pen.last_seq = element.seq;
        assert_eq!(wire::decode_elements(element.bytes).count(), 1);
    }

    fn commit(&mut self, commit: Commit) -> Result<Ack, StoreError> {
        self.0.lock().commits.push(commit);
        Ok(Ack::Later)
    }
}

struct Followed(Arc<Mutex<Pen>>);

impl Following for Followed {
    fn report_to(&mut self, progress: Weak<dyn Progress>) {
        self.0.lock().progress = Some(progress);
    }
}

fn key(id: &str) -> ChannelKey {
    ChannelKey { owner: Owner::default(), id: ChannelId::parse(id).expect("an id") }
}

fn scene() -> (Arc<Slow>, Channels) {
    let store = Arc::new(Slow::default());
    let retention = Retention { after_end: Duration::from_secs(600), max_bytes: 1 << 20 };
    (Arc::clone(&store), Channels::new(store, retention))
}

/// What a reader is given until there is nothing more: texts, and what else there was.
fn read(reader: &mut Reader) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        match reader.step() {
            Step::Idle => return steps,
            step @ Step::End(_) => {
                steps.push(step);
                return steps;
            }
            step => steps.push(step),
        }
    }
}

fn last_seq(steps: &[Step]) -> u64 {
    match steps.last() {
        Some(Step::Slice(slice)) => slice.last_seq,
        other => panic!("not a slice: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_store_has_not_kept_yet_is_shown_to_nobody() {
    let (store, channels) = scene();
    let channel = channels.create(Owner::default()).await.expect("it opens");
    let mut producer = begin(&channel, "gen_1");
    let mut reader = channel.read(From::Beginning).expect("it is there");
    producer.append(&mut [Event::text("a"), Event::text("b")]).expect("room");
    assert!(!reader.has_news() && reader.step() == Step::Idle);
    assert_eq!((channel.status().last_seq, channel.fold().1), (0, 0));
    store.reached(2);
    assert!(reader.has_news());
    assert_eq!(last_seq(&read(&mut reader)), 2);
    assert_eq!(channel.fold().2.generations[0].first_choice().text, "a");
    let asks = channel.read(From::Cursor(Cursor { epoch: channel.epoch(), seq: 3 }));
    assert!(asks.is_err(), "nobody has been told of it");
    // The end is there when it is shown, and not before.
    producer.append(&mut [finished()]).expect("room");
    store.reached(3);
    assert_eq!((channel.status().running, channel.status().closed), (1, false));
    assert_eq!(channel.last_end(), 0);
    let shown = tokio::join!(producer.shown(), async { store.reached(4) }).0;
    assert_eq!(shown, Cursor { epoch: channel.epoch(), seq: 4 });
    assert_eq!((channel.status().running, channel.status().closed), (0, true));
    assert_eq!(read(&mut reader).len(), 2, "the rest and the end");
    let promises: Vec<_> = store.pen.lock().commits.iter().map(|it| it.promise).collect();
    assert_eq!(promises, [Promise::Durable, Promise::Written, Promise::Durable]);
    let running: Vec<_> = store.pen.lock().commits.iter().map(|it| it.running).collect();
    assert_eq!(running, [1, 1, 0]);
}

#[tokio::test]
async fn a_store_that_is_lost_changes_the_epoch_and_loses_nobody_anything() {
    let (store, channels) = scene();
    let channel = channels.open(key("chat")).await.expect("it opens");
    let before = channel.epoch();
    let mut producer = begin(&channel, "gen_1");
    producer.append(&mut [Event::text("a"), Event::text("b")]).expect("room");
    store.reached(2);
    let mut reader = channel.read(From::Beginning).expect("it is there");
    assert_eq!(last_seq(&read(&mut reader)), 2);
    store.orphan(2);
    let now = channel.epoch();
    assert_ne!(now, before);
    assert!(reader.has_news());
    let steps = read(&mut reader);
    assert!(matches!(&steps[0], Step::Rewind { past, epoch }
        if *epoch == now && (past.epoch, past.valid_through) == (before, 2)));
    assert_eq!((steps.len(), last_seq(&steps), reader.epoch()), (2, 3, now));
    // From now on all of it is in memory, and shown at once.
    producer.append(&mut [finished()]).expect("room");
    assert_eq!(last_seq(&read(&mut reader)), 4);
    // One that comes back with the old epoch goes on where it was, or is given all of it again.
    let mut reader = channel.read(From::Cursor(Cursor { epoch: before, seq: 2 })).expect("known");
    assert_eq!(last_seq(&read(&mut reader)), 4);
    let mut reader = channel.read(From::Cursor(Cursor { epoch: before, seq: 3 })).expect("known");
    let steps = read(&mut reader);
    assert!(matches!(&steps[..], [Step::Rewind { .. }, Step::Snapshot(it)]
        if it.cause == Cause::Rewind && it.through == 4));
}

#[tokio::test]
async fn a_store_that_is_lost_while_a_channel_is_opened_holds_nothing_up() {
    let (store, channels) = scene();
    let channel = channels.open(key("chat")).await.expect("it opens");
    begin(&channel, "gen_1").append(&mut [Event::text("a"), finished()]).expect("room");
    store.reached(3);
    let before = channel.epoch();
    drop(channel);
    channels.sweep(Instant::now() + Duration::from_secs(60)).await;
    store.pen.lock().lost = true;
    let channel = channels.find(&key("chat")).await.expect("it was kept");
    assert_ne!(channel.epoch(), before, "what is said now is not kept");
    let said = channel.publish(Custom { kind: "note".into(), data: b"1".to_vec().into() });
    assert_eq!((said.expect("room").seq, channel.head()), (4, 4));
    let mut reader = channel.read(From::Cursor(Cursor { epoch: before, seq: 3 })).expect("known");
    let steps = read(&mut reader);
    assert!(matches!(&steps[0], Step::Rewind { past, .. } if past.valid_through == 3));
    assert_eq!((steps.len(), last_seq(&steps)), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_channel_at_rest_is_let_go_of_and_comes_back_as_it_was() {
    let (store, channels) = scene();
    let channel = channels.open(key("chat")).await.expect("it opens");
    let mut producer = begin(&channel, "gen_1");
    producer.append(&mut [Event::text("a"), finished()]).expect("room");
    tokio::time::advance(Duration::from_millis(700)).await;
    channel.publish(Custom { kind: "note".into(), data: b"1".to_vec().into() }).expect("room");
    store.reached(4);
    let epoch = channel.epoch();
    let said = read(&mut channel.read(From::Beginning).expect("it is there"));
    drop(producer);
    tokio::time::advance(Duration::from_secs(30)).await;
    channels.sweep(Instant::now()).await;
    assert!(channels.live(&key("chat")).is_some(), "somebody holds it");
    drop(channel);
    channels.sweep(Instant::now()).await;
    assert!(channels.live(&key("chat")).is_none() && channels.all().is_empty());
    // However many ask for it at once, it is opened once.
    let (chat, opened) = (key("chat"), store.pen.lock().open);
    let (one, two) = tokio::join!(channels.find(&chat), channels.find(&chat));
    let (one, two) = (one.expect("kept"), two.expect("kept"));
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(store.pen.lock().open, opened + 1);
    let again = read(&mut one.read(From::Cursor(Cursor { epoch, seq: 0 })).expect("known"));
    assert_eq!(said, again, "the same bytes, the same times");
    assert_eq!((one.epoch(), one.is_named(), one.status().closed), (epoch, true, false));
    assert_eq!(one.status().generations[0].id, "gen_1");
    channels.delete(&chat).await.expect("nothing runs");
    assert_eq!(channels.find(&chat).await.err(), Some(NoChannel::Unknown));
}

#[tokio::test]
async fn a_generation_that_an_earlier_process_left_is_ended_with_the_text_so_far() {
    let (store, channels) = scene();
    let channel = channels.create(Owner::default()).await.expect("it opens");
    let mut producer = begin(&channel, "gen_1");
    producer.append(&mut [Event::text("so far")]).expect("room");
    store.reached(2);
    let mut reader = channel.read(From::Beginning).expect("it is there");
    let slices = read(&mut reader).into_iter().map(|step| match step {
        Step::Slice(slice) => slice,
        other => panic!("not a slice: {other:?}"),
    });
    let kept = Kept { slices: slices.collect(), ..Kept::nothing(false, channel.epoch()) };
    // The process dies here.
    let (store, channels) = scene();
    store.at_rest.lock().insert(channel.key().clone(), kept);
    let recovered = tokio::join!(channels.recover(), async {
        // Nobody is shown the end before it is safe.
        while store.pen.lock().commits.is_empty() {
            tokio::task::yield_now().await;
        }
        let found = channels.live(channel.key()).expect("it is open");
        assert_eq!((found.head(), found.status().running), (2, 1));
        store.reached(3);
    });
    assert_eq!(recovered.0, 1);
    let found: Arc<Channel> = ready(channels.find(channel.key())).expect("it is open");
    let (epoch, through, state) = found.fold();
    assert_eq!((epoch, through, found.status().closed), (channel.epoch(), 3, true));
    assert_eq!(state.generations[0].first_choice().text, "so far");
    let end = state.generations[0].end.as_ref();
    assert!(matches!(end, Some(End::Failed(failed)) if failed.code == FailureCode::GatewayLost));
}

/// What another node says, step by step, as it comes from there.
fn said_elsewhere() -> Vec<Slice> {
    let channels = support::channels(1 << 20);
    let channel = support::named(&channels, "chat");
    let mut reader = channel.read(From::Beginning).expect("it is there");
    let mut slices = Vec::new();
    let mut next = || match reader.step() {
        Step::Slice(slice) => slices.push(slice),
        other => panic!("not a slice: {other:?}"),
    };
    let mut first = begin(&channel, "gen_1");
    first.append(&mut [Event::text("a")]).expect("room");
    next();
    first.append(&mut [finished()]).expect("room");
    next();
    let mut second = begin(&channel, "gen_2");
    next();
    let lost = Failed::new(FailureCode::GatewayLost, "the gateway stopped while it ran");
    second.append(&mut [Event::new(Kind::Failed(lost))]).expect("room");
    next();
    let mut third = begin(&channel, "gen_3");
    next();
    third.append(&mut [Event::text("other")]).expect("room");
    next();
    std::mem::forget(third);
    slices
}

fn epochs<const N: usize>() -> [Epoch; N] {
    std::array::from_fn(|_| Epoch::random())
}

#[tokio::test]
async fn what_another_node_writes_is_shown_and_this_one_may_take_it_over() {
    let (store, channels) = scene();
    store.pen.lock().elsewhere = true;
    let [first, second, third] = epochs();
    store.at_rest.lock().insert(key("chat"), Kept::nothing(true, first));
    let channel = channels.find(&key("chat")).await.expect("it is there");
    let mut reader = channel.read(From::Beginning).expect("it is there");
    let custom = Custom { kind: "note".into(), data: b"1".to_vec().into() };
    let refused = channel.publish(custom.clone());
    assert_eq!(refused, Err(AppendError::Store(StoreError::Fenced)), "it is not ours to write");
    let said = said_elsewhere();
    store.news(News::Said(said[0].clone()));
    assert_eq!((last_seq(&read(&mut reader)), channel.status().running), (2, 1));
    store.news(News::Said(said[1].clone()));
    assert_eq!((channel.status().running, channel.last_end()), (0, 3));
    // Heard twice, and with something missing: neither is taken.
    store.news(News::Said(said[1].clone()));
    store.news(News::Said(said[3].clone()));
    assert_eq!(last_seq(&read(&mut reader)), 3);
    let mut past = vec![Past { epoch: first, valid_through: 3 }];
    store.news(News::Succeeded { epoch: second, past: past.clone() });
    let steps = read(&mut reader);
    assert!(matches!(&steps[..], [Step::Rewind { past, epoch }]
        if *epoch == second && past.valid_through == 3));
    store.news(News::Said(said[2].clone()));
    assert_eq!((last_seq(&read(&mut reader)), channel.status().running), (4, 1));
    // Its writer dies, and this node takes over: what ran there is ended, once that is safe.
    past.push(Past { epoch: second, valid_through: 4 });
    let (epoch, writer) = (third, store.writer());
    store.news(News::Appointed { epoch, past, writer });
    assert!(!channel.follows() && channel.epoch() == third);
    assert_eq!((channel.head(), channel.status().running), (4, 1));
    store.reached(5);
    assert_eq!((channel.head(), channel.status().running), (5, 0));
    let (_, _, state) = channel.fold();
    let end = state.generations[1].end.as_ref();
    assert!(matches!(end, Some(End::Failed(failed)) if failed.code == FailureCode::GatewayLost));
    assert_eq!(channel.publish(custom).expect("it is ours now").seq, 6);
}

#[tokio::test]
async fn whoever_was_replaced_says_nothing_more_whatever_comes_after() {
    let (store, channels) = scene();
    let said = said_elsewhere();
    let channel = channels.open(key("chat")).await.expect("it opens");
    let first = channel.epoch();
    let mut lost = begin(&channel, "gen_1");
    lost.append(&mut [Event::text("a")]).expect("room");
    store.reached(2);
    lost.append(&mut [Event::text("seen by some")]).expect("room");
    store.reached(3);
    lost.append(&mut [Event::text("seen by nobody")]).expect("room");
    let mut reader = channel.read(From::Beginning).expect("it is there");
    assert_eq!(last_seq(&read(&mut reader)), 3);
    // Another node went on after the second.
    let [second, third] = epochs();
    let mut past = vec![Past { epoch: first, valid_through: 2 }];
    let slices = said[..2].to_vec();
    let kept = Kept { past: past.clone(), slices, ..Kept::nothing(true, second) };
    let replaced = channel.replaced();
    store.news(News::Replaced(Tenure { kept, role: store.follows() }));
    assert_eq!(channel.replaced(), replaced + 1);
    assert!(channel.follows() && channel.status().running == 0);
    let steps = read(&mut reader);
    assert!(
        matches!(&steps[..], [Step::Rewind { past, .. }, Step::Snapshot(it)]
            if past.valid_through == 2 && it.through == 3 && it.cause == Cause::Rewind),
        "it held another third: {steps:?}"
    );
    assert_eq!(lost.shown().await.epoch, second, "nobody waits for what will never be shown");
    // Neither there, nor once this node writes again, nor by its end.
    let text = || [Event::text("late")];
    assert_eq!(lost.append(&mut text()), Err(AppendError::Store(StoreError::Fenced)));
    past.push(Past { epoch: second, valid_through: 3 });
    let (epoch, writer) = (third, store.writer());
    store.pen.lock().last_seq = 3;
    store.news(News::Appointed { epoch, past, writer });
    assert_eq!(lost.append(&mut text()), Err(AppendError::Store(StoreError::Fenced)));
    drop(lost);
    let mut producer = begin(&channel, "gen_2");
    assert_eq!(producer.cursor(), Cursor { epoch: third, seq: 4 }, "nothing came in between");
    producer.append(&mut [finished()]).expect("room");
    store.reached(5);
    assert_eq!(last_seq(&read(&mut reader)), 5);
    store.news(News::Forgotten(Forgotten::Deleted));
    assert_eq!(read(&mut reader), [Step::End(Ended::Deleted)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_its_store_does_not_open_keeps_no_other_one_from_its_end() {
    let (store, channels) = scene();
    for id in ["one", "stuck"] {
        let kept = Kept::nothing(true, Epoch::random());
        let slices = said_elsewhere()[..1].to_vec();
        store.at_rest.lock().insert(key(id), Kept { slices, ..kept });
    }
    *store.stuck.lock() = Some(key("stuck"));
    let began = Instant::now();
    let (recovered, ()) = tokio::join!(channels.recover(), async {
        while store.pen.lock().commits.is_empty() {
            tokio::task::yield_now().await;
        }
        store.reached(3);
    });
    assert_eq!(recovered, 1);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let one = channels.live(&key("one")).expect("it is open");
    assert_eq!((one.head(), one.status().running), (3, 0));
    // It is tried again.
    *store.stuck.lock() = None;
    store.at_rest.lock().remove(&key("one"));
    *store.pen.lock() = Pen::default();
    let (recovered, ()) = tokio::join!(channels.recover(), async {
        while store.pen.lock().commits.is_empty() {
            tokio::task::yield_now().await;
        }
        store.reached(3);
    });
    assert_eq!(recovered, 1);
}

#[tokio::test]
async fn where_less_is_left_in_the_same_epoch_nobody_goes_on_holding_more() {
    let (store, channels) = scene();
    let channel = channels.open(key("chat")).await.expect("it opens");
    let epoch = channel.epoch();
    let mut producer = begin(&channel, "gen_1");
    for text in ["a", "b"] {
        producer.append(&mut [Event::text(text)]).expect("room");
    }
    store.reached(3);
    let [mut less, mut more] = [2, 3].map(|seq| {
        let cursor = From::Cursor(Cursor { epoch, seq });
        channel.read(cursor).expect("it is there")
    });
    let kept = Kept { slices: said_elsewhere()[..1].to_vec(), ..Kept::nothing(true, epoch) };
    assert_eq!(kept.last_seq(), 2);
    store.news(News::Replaced(Tenure { kept, role: store.follows() }));
    assert!(!less.has_news() && read(&mut less).is_empty(), "nothing is taken from it");
    assert!(more.has_news());
    let steps = read(&mut more);
    let lost = Past { epoch, valid_through: 2 };
    assert!(
        matches!(&steps[..], [Step::Rewind { past, epoch: now }, Step::Snapshot(it)]
            if *past == lost && *now == epoch && it.through == 2 && it.cause == Cause::Rewind),
        "{steps:?}"
    );
    assert!(!more.has_news());
    // What is damaged is over.
    store.news(News::Damaged);
    for mut reader in [less, more] {
        assert_eq!(read(&mut reader), [Step::End(Ended::Evicted)]);
    }
    assert_eq!(channel.publish(note()), Err(AppendError::Closed));
}

fn note() -> Custom {
    Custom { kind: "note".into(), data: "1".into() }
}

#[tokio::test]
async fn what_is_left_to_another_node_is_not_stopped_here_as_if_it_were() {
    let channels = support::channels(1 << 20);
    let channel = support::named(&channels, "chat");
    let mut left = begin(&channel, "gen_left");
    let stays = begin(&channel, "gen_stays");
    left.leave();
    let id = GenerationId::claimed("gen_left");
    assert!(channels.cancel(&channel, Some(&id)).await.is_err(), "nobody here can stop it");
    assert!(channels.cancel(&channel, None).await.is_err(), "nor all of them");
    let id = GenerationId::claimed("gen_stays");
    assert!(channels.cancel(&channel, Some(&id)).await.is_ok());
    drop((left, stays));
    assert!(channel.is_running("gen_left"), "it has no end here");
    assert!(!channel.is_running("gen_stays"));
}
