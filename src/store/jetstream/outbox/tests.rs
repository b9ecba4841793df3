//! Whatever is appended, sent, acknowledged, and whenever the lease lapses: what is sent follows on what was sent, and nothing is
//! shown too early.

use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::{super::record, *};

const SPAN: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Reached(Mutex<Vec<u64>>);

impl Progress for Reached {
    fn reached(&self, seq: u64) {
        self.0.lock().push(seq);
    }

    fn orphaned(&self, _: u64) {
        panic!("this store orphans nobody");
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// So many events of so many bytes, of which the last begins or ends a generation, or not.
    Say(u8, u16, bool),
    Send,
    Ack,
    /// The lease is had anew, for so many seconds from now.
    Renew,
    /// So many seconds pass.
    Wait(u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (1..5_u8, 1..2_000_u16, any::<bool>()).prop_map(|(n, len, d)| Op::Say(n, len, d)),
        3 => Just(Op::Send),
        3 => Just(Op::Ack),
        1 => Just(Op::Renew),
        1 => (1..5_u8).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 1..80)
}

fn commit(durable: bool, generations: u32) -> Commit {
    let promise = if durable { Promise::Durable } else { Promise::Written };
    Commit { promise, generations, running: generations % 2 }
}

fn slices(payload: &[u8]) -> Vec<(u64, u64, u32)> {
    let records = record::read(payload.to_vec().into()).expect("our own records");
    records
        .into_iter()
        .map(|record| match record {
            record::Record::Said(said) => (said.slice.first_seq, said.slice.last_seq, said.running),
            other => panic!("{other:?}"),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_sent_follows_and_nothing_is_shown_too_early(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let lease = Arc::new(Lease::new("a".into(), SPAN));
            lease.renewed(Instant::now(), Instant::now());
            let outbox = Outbox::new(0, lease.term(Instant::now()));
            let how = Standing::default();
            let mut pen = Pen::new(Arc::clone(&outbox), Arc::clone(&lease), 7, how);
            let reached = Arc::new(Reached::default());
            let weak: Weak<Reached> = Arc::downgrade(&reached);
            pen.report_to(weak).expect("it is open");
            let (mut said, mut sent, mut acked, mut later, mut generations) = (0, 0, 0, 0, 0);
            let (mut how, mut under_way) = (how, None);
            for op in ops {
                match op {
                    Op::Say(count, length, durable) => {
                        for _ in 0..count {
                            said += 1;
                            let bytes = vec![b'x'; usize::from(length)];
                            pen.append(Element { seq: said, at_ms: said, bytes: &bytes });
                        }
                        generations += u32::from(durable);
                        let ack = pen.commit(commit(durable, generations)).expect("room");
                        if ack == Ack::Now {
                            assert!(!durable && later <= acked, "it waits for what is before it");
                            assert!(lease.term(Instant::now()).is_some(), "the lease holds");
                        } else {
                            later = said;
                        }
                    }
                    Op::Send if under_way.is_none() => match outbox.next(how) {
                        Next::Send(sending) => {
                            for (first, last, _) in slices(&sending.payload) {
                                assert_eq!(first, sent + 1, "without a gap");
                                sent = last;
                            }
                            assert_eq!(sending.how.last_seq, sent);
                            assert!(sending.payload.len() <= MESSAGE_BYTES + RECORD_BYTES);
                            how = sending.how;
                            under_way = Some((sending, lease.term(Instant::now())));
                        }
                        next => assert!(matches!(next, Next::Wait) && sent == said, "{next:?}"),
                    },
                    Op::Send => {}
                    Op::Ack => {
                        if let Some((sending, term)) = under_way.take() {
                            acked = sending.how.last_seq;
                            outbox.acked(&sending, term);
                            assert_eq!(reached.0.lock().last(), Some(&acked));
                        }
                    }
                    Op::Renew => lease.renewed(Instant::now(), Instant::now()),
                    Op::Wait(seconds) => {
                        tokio::time::advance(Duration::from_secs(u64::from(seconds))).await;
                    }
                }
                assert_eq!(outbox.is_empty(), acked == said);
            }
            drop(pen);
            while let Next::Send(sending) = outbox.next(how) {
                outbox.acked(&sending, None);
                how = sending.how;
            }
            assert_eq!((how.last_seq, outbox.next(how)), (said, Next::End), "all of it is sent");
        });
    }
}

fn pen(lease: &Arc<Lease>) -> (Arc<Outbox>, Pen) {
    let outbox = Outbox::new(0, lease.term(Instant::now()));
    let pen = Pen::new(Arc::clone(&outbox), Arc::clone(lease), 7, Standing::default());
    (outbox, pen)
}

#[test]
fn after_a_lapse_nothing_is_shown_until_it_is_known_that_nobody_took_over() {
    let lease = Arc::new(Lease::new("a".into(), SPAN));
    let now = Instant::now();
    let (outbox, mut pen) = pen(&lease);
    let mut say = |seq| {
        pen.append(Element { seq, at_ms: 1, bytes: b"x" });
        pen.commit(commit(false, 1)).expect("room")
    };
    assert_eq!(say(1), Ack::Later, "there is no lease yet");
    lease.renewed(now, now);
    assert_eq!(say(2), Ack::Later, "nothing was acknowledged since");
    let Next::Send(sending) = outbox.next(Standing::default()) else { panic!("two wait") };
    outbox.acked(&sending, lease.term(Instant::now()));
    assert_eq!(say(3), Ack::Now);
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_shown_once_something_has_waited_for_as_long_as_the_lease() {
    let lease = Arc::new(Lease::new("a".into(), SPAN));
    let mut words = 0;
    let lives = |lease: &Lease| lease.renewed(Instant::now(), Instant::now());
    lives(&lease);
    let (outbox, mut pen) = pen(&lease);
    let mut say = |pen: &mut Pen| {
        words += 1;
        pen.append(Element { seq: words, at_ms: 1, bytes: b"x" });
        pen.commit(commit(false, 1)).expect("room")
    };
    assert_eq!(say(&mut pen), Ack::Now);
    let since = outbox.waits_since().expect("it waits");
    // It is under way, and NATS takes the words of life, but not what is said.
    let Next::Send(sending) = outbox.next(Standing::default()) else { panic!("one waits") };
    for _ in 0..5 {
        tokio::time::advance(SPAN / 6).await;
        lives(&lease);
        assert_eq!(say(&mut pen), Ack::Now);
    }
    tokio::time::advance(SPAN / 6).await;
    lives(&lease);
    assert_eq!(say(&mut pen), Ack::Later);
    assert_eq!(outbox.waits_since(), Some(since));
    outbox.acked(&sending, lease.term(Instant::now()));
    assert_eq!(outbox.waits_since(), Some(since + SPAN / 6), "the next one waits");
    assert_eq!(say(&mut pen), Ack::Later, "what is before it is not shown yet");
    let Next::Send(sending) = outbox.next(Standing::default()) else { panic!("some wait") };
    outbox.acked(&sending, lease.term(Instant::now()));
    assert_eq!((outbox.waits_since(), say(&mut pen)), (None, Ack::Now));
}

#[test]
fn what_is_large_goes_in_parts_and_may_run_until_the_last() {
    let lease = Arc::new(Lease::new("a".into(), SPAN));
    let (outbox, mut pen) = pen(&lease);
    let large = vec![b'x'; 200 << 10];
    for seq in 1..=6 {
        pen.append(Element { seq, at_ms: 1, bytes: &large });
    }
    // It begins and ends in one go.
    pen.commit(Commit { promise: Promise::Durable, generations: 1, running: 0 }).expect("room");
    pen.append(Element { seq: 7, at_ms: 1, bytes: b"x" });
    pen.commit(commit(false, 1)).expect("room");
    let (mut how, mut last) = (Standing::default(), 0);
    while let Next::Send(sending) = outbox.next(how) {
        assert!(sending.payload.len() < 1 << 20, "NATS takes it");
        for (first, through, _) in slices(&sending.payload) {
            assert_eq!(first, last + 1);
            last = through;
        }
        how = sending.how;
        outbox.acked(&sending, None);
    }
    assert_eq!((last, how.running), (7, 1));
}

#[test]
fn past_its_bound_nothing_more_is_taken_and_what_waits_is_sent() {
    let lease = Arc::new(Lease::new("a".into(), SPAN));
    let (outbox, mut pen) = pen(&lease);
    let event = vec![b'x'; 100 << 10];
    let mut taken = 0;
    let refused = loop {
        pen.append(Element { seq: taken + 1, at_ms: 1, bytes: &event });
        match pen.commit(commit(false, 1)) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable(_)));
    assert!((70..=82).contains(&taken), "8 MiB, of 100 KiB each: {taken}");
    pen.append(Element { seq: taken + 2, at_ms: 1, bytes: b"x" });
    assert_eq!(pen.commit(commit(true, 1)), Err(StoreError::Fenced), "not even what would fit");
    let mut how = Standing::default();
    loop {
        match outbox.next(how) {
            Next::Send(sending) => {
                how = sending.how;
                outbox.acked(&sending, None);
            }
            next => {
                assert_eq!(next, Next::Overflown);
                break;
            }
        }
    }
    assert_eq!(how.last_seq, taken);
}

#[test]
fn whoever_was_taken_over_sends_nothing_more() {
    let lease = Arc::new(Lease::new("a".into(), SPAN));
    let (outbox, mut pen) = pen(&lease);
    pen.append(Element { seq: 1, at_ms: 1, bytes: b"x" });
    pen.commit(commit(false, 1)).expect("room");
    outbox.suspect();
    assert!(outbox.is_urgent());
    assert_eq!(outbox.next(Standing::default()), Next::Look);
    assert!(outbox.end().is_none(), "nobody had asked to be told");
    assert!(outbox.is_empty());
    pen.append(Element { seq: 2, at_ms: 1, bytes: b"x" });
    assert_eq!(pen.commit(commit(true, 1)), Err(StoreError::Fenced));
}
