//! What goes on as long as the store is there: this node says that it lives and hears who else does, learns how channels stand
//! and notes how its own do, and answers what other nodes ask.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{
    super::{Answer, Refusal, StoreError},
    desk,
    inner::{Inner, away},
    mend,
    nats::{self, AGAIN_AFTER, Message},
    record::Entry,
    tail::{Tail, WentBack},
};

/// How long the index may take to be read at the start.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// How long the next of its entries may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(1);

/// So many entries are on their way at once.
const NOTES_AT_ONCE: usize = 64;

/// So many questions are answered at once; what comes beyond waits.
const ANSWERS_AT_ONCE: usize = 256;

/// Begins all of it. Err: NATS does not answer.
pub(super) async fn begin(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let nats = &inner.nats;
    let beats = nats.subscribe(nats.node("*", "beat")).await?;
    let questions = nats.subscribe(nats.node(inner.lease.node(), "ask")).await?;
    let mut index = Tail::of_index(nats);
    let last = nats.indexed().await?;
    let read = async {
        let mut at = 0;
        // What is last may be taken away meanwhile: what does not come soon is learned later.
        while at < last
            && let Ok(Ok(message)) = timeout(COMES_WITHIN, index.next()).await
        {
            at = message.at;
            hear(inner, &message);
        }
    };
    timeout(READ_WITHIN, read).await.map_err(|_| away())?;
    let sent = Instant::now();
    nats.beat(inner.lease.node()).await.map_err(|()| away())?;
    inner.lease.renewed(sent, Instant::now());
    spawn(inner, live);
    spawn(inner, |inner| hear_of_others(inner, beats));
    spawn(inner, |inner| learn(inner, index));
    spawn(inner, mend::log);
    spawn(inner, note);
    spawn(inner, |inner| answer(inner, questions));
    Ok(())
}

fn spawn<T>(inner: &Arc<Inner>, task: impl FnOnce(Arc<Inner>) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let (closing, task) = (inner.closing.clone(), task(Arc::clone(inner)));
    inner.tasks.spawn(async move {
        closing.run_until_cancelled_owned(task).await;
    });
}

/// Says that this node lives, now and then and when NATS is there again. A word that is long under way keeps no other one waiting.
async fn live(inner: Arc<Inner>) {
    let (lease, mut connected) = (&inner.lease, inner.nats.connected());
    let mut ticks = interval(lease.beat());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut words = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = connected.changed() => {
                lease.is_back(Instant::now());
                ticks.reset();
            }
            Some(said) = words.next() => {
                if let Ok(Ok(sent)) = said {
                    lease.renewed(sent, Instant::now());
                }
                continue;
            }
        }
        let sent = Instant::now();
        let word = inner.nats.beat(lease.node());
        words.push(timeout(lease.span(), async move { word.await.map(|()| sent) }));
    }
}

async fn hear_of_others(inner: Arc<Inner>, mut beats: async_nats::Subscriber) {
    while let Some(beat) = beats.next().await {
        // `PREFIX.node.ID.beat`
        let Some(node) = beat.subject.rsplit('.').nth(1) else { continue };
        match beat.payload == nats::LEAVING {
            true => inner.lease.left(node, Instant::now()),
            false => inner.lease.heard(node, Instant::now()),
        }
    }
}

async fn learn(inner: Arc<Inner>, mut index: Tail) {
    loop {
        match index.next().await {
            Ok(message) => hear(&inner, &message),
            Err(WentBack) => index = mend::index(&inner).await,
        }
    }
}

fn hear(inner: &Inner, message: &Message) {
    match Entry::read(&message.payload) {
        Some(entry) => {
            let key = entry.key.clone();
            inner.hears(entry);
            inner.index.lock().noted(&key, message.at);
        }
        None => tracing::warn!("the index holds what is no entry"),
    }
}

/// Notes what changed until it is there.
async fn note(inner: Arc<Inner>) {
    loop {
        inner.to_note.notified().await;
        loop {
            let some: Vec<_> = inner.dirty.lock().iter().take(NOTES_AT_ONCE).cloned().collect();
            if some.is_empty() {
                break;
            }
            let notes = some.into_iter().map(async |key| {
                let entry = inner.index.lock().get(&key).cloned();
                let Some(entry) = entry else { return (key, None, true) };
                let there = inner.nats.note(&key, entry.write()).await;
                (key, Some(entry), there)
            });
            let mut all_there = true;
            for (key, entry, there) in futures_util::future::join_all(notes).await {
                all_there &= there;
                // It may stand otherwise by now.
                if there && inner.index.lock().get(&key) == entry.as_ref() {
                    inner.dirty.lock().remove(&key);
                }
            }
            inner.noted.notify_waiters();
            if !all_there {
                sleep(AGAIN_AFTER).await;
            }
        }
    }
}

async fn answer(inner: Arc<Inner>, questions: async_nats::Subscriber) {
    let answers = questions.for_each_concurrent(ANSWERS_AT_ONCE, async |question| {
        let Some(reply) = question.reply else { return };
        let Some((key, ask)) = desk::read_ask(&question.payload) else { return };
        let desk = inner.desk.get().and_then(Weak::upgrade);
        let answer = match &desk {
            Some(desk) => desk.asked(&key, ask).await,
            None => None,
        };
        let mut answer = desk::write_answer(answer.as_ref());
        if inner.nats.fits(&answer).is_err() {
            answer = desk::write_answer(Some(&Answer::Refused(Refusal::TooLarge)));
        }
        // Whoever asked does not wait for ever.
        let _ = inner.nats.client.publish(reply, answer).await;
    });
    answers.await;
}
