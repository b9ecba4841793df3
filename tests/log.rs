//! The log, the fold and the channel around them, held against what was appended.

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::{prelude::*, test_runner::TestCaseError};
use prost::encoding::decode_varint;
use rand::{SeedableRng, rngs::StdRng};
use support::{anything, assert_same_state, begin, channels, finished, named};
use tokenway::{
    channel::{AppendError, Found, GENERATIONS_MAX, Log, Slice},
    event::{Custom, Event, Kind, Started},
    ident::{ChannelId, ChannelKey, Owner},
    snapshot::State,
    wire::{self, proto::snapshot::Cause},
};

/// Everything that was appended, with its time.
#[derive(Default)]
struct Model {
    events: Vec<Event>,
    times: Vec<u64>,
}

/// Events of several generations that begin, speak and end.
fn script(seed: u64, count: usize) -> Vec<Event> {
    use rand::Rng;
    let mut random = StdRng::seed_from_u64(seed);
    let mut running: Vec<u32> = Vec::new();
    let mut begun = 0;
    let mut events = Vec::new();
    while events.len() < count {
        let (generation, event) = match random.random_range(0..20) {
            0 | 1 if running.len() < 4 => {
                running.push(begun);
                begun += 1;
                let started = Started { id: format!("gen_{begun}"), ..Started::default() };
                (begun - 1, Event::new(Kind::Started(started)))
            }
            2 => {
                let data = b"{\"n\":1}".to_vec().into();
                (0, Event::new(Kind::Custom(Custom { kind: "note".into(), data })))
            }
            3 if !running.is_empty() => (running.remove(0), finished()),
            _ if running.is_empty() => continue,
            _ => (running[random.random_range(0..running.len())], anything(&mut random)),
        };
        events.push(Event { generation, ..event });
    }
    events
}

fn build(script: Vec<Event>, gaps: &[u64], bytes_max: usize) -> (Log, Model) {
    let mut now_ms = 1_000;
    let mut log = Log::new(now_ms);
    let mut model = Model::default();
    for (event, gap) in script.into_iter().zip(gaps.iter().cycle()) {
        now_ms += gap;
        let seq = log.append(&event, now_ms).expect("small").seq;
        log.trim(bytes_max, seq);
        model.events.push(event);
        model.times.push(now_ms);
        assert_eq!(seq, model.events.len() as u64, "seqs have no gap");
    }
    (log, model)
}

/// A slice holds exactly what was said from its first seq to its last, and when.
fn check(slice: &Slice, model: &Model) -> Result<(), TestCaseError> {
    let said = slice.first_seq as usize - 1..slice.last_seq as usize;
    let events: Vec<Event> = wire::decode_elements(&slice.events).collect();
    prop_assert_eq!(&events[..], &model.events[said.clone()]);
    let mut deltas = &slice.times.deltas[..];
    let mut at = slice.times.base_ms;
    let mut times = Vec::new();
    while !deltas.is_empty() {
        at += decode_varint(&mut deltas).expect("whole varints");
        times.push(at);
    }
    prop_assert_eq!(&times[..], &model.times[said]);
    Ok(())
}

fn fold(events: &[Event]) -> State {
    let mut state = State::default();
    apply(&mut state, events, 1);
    state
}

fn apply(state: &mut State, events: &[Event], first_seq: u64) {
    (first_seq..).zip(events).for_each(|(seq, event)| state.apply(seq, event.clone()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn after_any_seq_comes_what_was_said_after_it_or_that_it_was_trimmed(
        seed: u64,
        count in 1usize..900,
        gaps in prop::collection::vec(0u64..500, 1..20),
        kib in 1usize..200,
    ) {
        let (mut log, model) = build(script(seed, count), &gaps, kib * 1024);
        prop_assert_eq!(log.last_seq(), count as u64);
        for seq in 0..=count as u64 + 2 {
            match log.after(seq, u64::MAX) {
                Found::Slice(slice) => {
                    prop_assert_eq!(slice.first_seq, seq + 1);
                    prop_assert!(slice.first_seq >= log.first_seq());
                    check(&slice, &model)?;
                }
                Found::AtHead => prop_assert!(seq >= count as u64),
                Found::Trimmed => prop_assert!(seq + 1 < log.first_seq()),
            }
        }
        // One slice after another, from the first that is held, gives all of it.
        let mut seq = log.first_seq() - 1;
        while let Found::Slice(slice) = log.after(seq, u64::MAX) {
            seq = slice.last_seq;
        }
        prop_assert_eq!(seq, count as u64);
    }

    #[test]
    fn a_log_whose_head_is_gone_still_folds_to_everything(
        seed: u64, count in 1usize..600, kib in 1usize..200,
    ) {
        let (log, model) = build(script(seed, count), &[1], kib * 1024);
        assert_same_state(&fold(&model.events), &log.view().fold(u64::MAX));
    }

    #[test]
    fn folding_a_prefix_and_then_the_tail_folds_all(seed: u64, count in 0usize..300, cut in 0usize..300) {
        let events = script(seed, count);
        let cut = cut.min(count);
        let mut state = fold(&events[..cut]);
        apply(&mut state, &events[cut..], cut as u64 + 1);
        prop_assert_eq!(&state, &fold(&events));
        // The same through a snapshot message.
        let message = wire::snapshot_to_wire(&fold(&events[..cut]), String::new(), 0, Cause::Asked);
        let mut state = wire::snapshot_from_wire(message).expect("our own message");
        apply(&mut state, &events[cut..], cut as u64 + 1);
        assert_same_state(&fold(&events), &state);
        assert_same_state(&state, &fold(&events));
    }

    #[test]
    fn what_was_given_up_on_the_way_changes_nothing_else(
        seed: u64,
        count in 1usize..300,
        evictions in prop::collection::vec((0usize..300, 0usize..20_000), 1..6),
    ) {
        let events = script(seed, count);
        let mut state = State::default();
        for (at, event) in events.iter().enumerate() {
            state.apply(at as u64 + 1, event.clone());
            for (_, bytes_max) in evictions.iter().filter(|(when, _)| *when == at) {
                let before = state.bytes();
                state.evict(*bytes_max);
                prop_assert!(state.bytes() <= before);
                let all_running =
                    state.generations.iter().all(|one| one.end.is_none() || one.evicted);
                prop_assert!(state.bytes() <= *bytes_max || (all_running && state.customs.is_empty()));
            }
        }
        assert_same_state(&fold(&events), &state);
    }
}

#[test]
fn a_reader_at_the_head_shares_the_copy_of_the_tail() {
    let mut log = Log::new(0);
    log.append(&Event::text("a"), 0).expect("small");
    let (Found::Slice(one), Found::Slice(two)) = (log.after(0, u64::MAX), log.after(0, u64::MAX))
    else {
        panic!("there is something");
    };
    assert_eq!(one.events.as_ptr(), two.events.as_ptr());
}

#[test]
fn an_event_that_is_too_large_leaves_the_log_as_it_was() {
    let mut log = Log::new(0);
    log.append(&Event::text("a"), 0).expect("small");
    assert!(log.append(&Event::text("x".repeat(300_000)), 1).is_err());
    assert_eq!(log.append(&Event::text("b"), 2).expect("small").seq, 2);
    let Found::Slice(slice) = log.after(0, u64::MAX) else { panic!("there is something") };
    assert_eq!(wire::decode_elements(&slice.events).count(), 2);
}

#[tokio::test]
async fn a_generation_that_filled_its_channel_makes_room_for_the_next_once_it_has_ended() {
    let channels = channels(256 * 1024);
    let channel = named(&channels, "chat");
    for round in 0..3 {
        let mut producer = begin(&channel, &format!("gen_{round}"));
        let full = loop {
            match producer.append(&mut [Event::text("words ".repeat(100))]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(full, AppendError::Full { .. }), "{full}");
        producer.append(&mut [finished()]).expect("the end always fits");
        let (_, _, state) = channel.fold();
        assert_eq!(state.generations.len(), round + 1);
        assert!(!state.generations[round].evicted, "what was just said is still there");
    }
    let note = Custom { kind: "note".into(), data: b"1".to_vec().into() };
    channel.publish(note).expect("nothing runs, so that there is room");
    assert!(channel.bytes() <= 256 * 1024);
}

#[tokio::test]
async fn a_custom_event_that_fills_its_channel_makes_room_for_the_next() {
    let channels = channels(64 * 1024);
    let channel = named(&channels, "chat");
    for _ in 0..3 {
        let data = format!("\"{}\"", "x".repeat(200 * 1024)).into();
        channel.publish(Custom { kind: "note".into(), data }).expect("nothing runs");
    }
}

#[test]
fn small_custom_events_count_with_what_they_cost() {
    let mut state = State::default();
    for seq in 1..=10_000 {
        let custom = Custom { kind: "n".into(), data: b"1".to_vec().into() };
        state.apply(seq, Event::new(Kind::Custom(custom)));
    }
    assert!(state.bytes() >= 10_000 * size_of::<Custom>());
    state.evict(64 * 1024);
    assert!(state.bytes() <= 64 * 1024 && state.customs.len() < 1_024);
    state.evict(0);
    assert_eq!((state.bytes(), state.customs.len()), (0, 0));
}

#[tokio::test]
async fn a_channel_takes_so_many_generations_and_no_more() {
    let channels = channels(1 << 20);
    let channel = named(&channels, "chat");
    for round in 0..GENERATIONS_MAX {
        begin(&channel, &format!("gen_{round}")).append(&mut [finished()]).expect("room");
    }
    let refused = channel.begin(Started::default(), Default::default());
    assert_eq!(refused.err(), Some(AppendError::TooManyGenerations));
}

fn key() -> ChannelKey {
    ChannelKey { owner: Owner::default(), id: ChannelId::parse("chat").expect("an id") }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn a_channel_on_which_a_generation_runs_is_not_deleted_by_who_meant_the_one_before() {
    let channels = channels(1 << 20);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = runtime();
                let key =
                    runtime.block_on(channels.open(key())).expect("memory opens").key().clone();
                while !done.load(Ordering::Relaxed) {
                    let _ = runtime.block_on(channels.delete(&key));
                }
            });
        }
        let mut lost = 0;
        let runtime = runtime();
        for round in 0..20_000 {
            let channel = runtime.block_on(channels.open(key())).expect("memory opens");
            let started = Started { id: format!("gen_{round}"), ..Started::default() };
            // Deleted before it began: the next round makes another.
            let Ok(mut producer) = channel.begin(started, Default::default()) else { continue };
            thread::yield_now();
            lost += u32::from(channels.live(channel.key()).is_none());
            producer.append(&mut [finished()]).expect("the end always fits");
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(lost, 0);
    });
}
