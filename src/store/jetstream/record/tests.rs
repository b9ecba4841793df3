//! What is written is read, whatever is changed in it is not, and what a subject tells folds to how the channel stands.

use proptest::prelude::*;

use super::*;
use crate::{
    ident::{ChannelId, Owner},
    sequence::Past,
    store::Times,
};

fn key() -> ChannelKey {
    ChannelKey { owner: Owner::new("me"), id: ChannelId::parse("chat").expect("an id") }
}

fn head() -> impl Strategy<Value = Head> {
    let past = prop::collection::vec((any::<u32>(), any::<u64>()), 0..4);
    (any::<bool>(), any::<u32>(), past).prop_map(|(named, epoch, past)| {
        let past = past.into_iter().map(|(epoch, valid_through)| {
            let epoch = Epoch::from_u32(epoch);
            Past { epoch, valid_through }
        });
        Head { named, epoch: Epoch::from_u32(epoch), past: past.collect() }
    })
}

fn said() -> impl Strategy<Value = SaidRecord> {
    let events = prop::collection::vec(any::<u8>(), 0..40);
    let deltas = prop::collection::vec(0..100_u8, 1..6);
    (any::<u64>(), any::<u32>(), any::<u32>(), 1..1_000_u64, deltas, events).prop_map(
        |(pen, generations, running, first_seq, deltas, events)| {
            let last_seq = first_seq + deltas.len() as u64 - 1;
            let times = Times { base_ms: 1_700_000_000_000, deltas: deltas.into() };
            let slice = Slice { first_seq, last_seq, events: events.into(), times };
            SaidRecord { pen, generations, running, slice }
        },
    )
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = prop_oneof![
        (any::<u64>(), "[a-z_]{1,20}", head()).prop_map(|(pen, node, head)| {
            Record::Tenure(TenureRecord { pen, node, key: key(), head })
        }),
        said().prop_map(Record::Said),
        any::<bool>().prop_map(|expired| {
            Record::Gone(if expired { Forgotten::Expired } else { Forgotten::Deleted })
        }),
    ];
    prop::collection::vec(record, 0..5)
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        match record {
            Record::Tenure(record) => record.write(&mut out),
            Record::Said(record) => record.write(&mut out),
            Record::Gone(why) => write_gone(*why, &mut out),
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records()) {
        prop_assert_eq!(read(written(&records).into()), Some(records));
    }

    #[test]
    fn whatever_is_changed_is_not_read(
        records in records(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = written(&records);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(read(bytes.into()), None);
    }

    #[test]
    fn a_part_of_a_record_is_none(records in records(), at in any::<prop::sample::Index>()) {
        let bytes = written(&records);
        prop_assume!(!bytes.is_empty());
        let cut = Bytes::from(bytes).slice(..at.index(written(&records).len()));
        if let Some(whole) = read(cut) {
            prop_assert!(records.starts_with(&whole) && whole.len() < records.len());
        }
    }

    /// Tenures and what they say, one after another, as NATS has taken them.
    #[test]
    fn what_a_subject_tells_is_how_it_stands(
        tenures in prop::collection::vec((any::<u64>(), 0..6_usize), 1..6),
        keeps: bool,
    ) {
        let (mut told, mut last, mut past) = (Told::nothing(), 0, Vec::new());
        let mut epoch = Epoch::from_u32(0);
        for (number, (pen, count)) in (1..).zip(&tenures) {
            if number > 1 {
                past.push(Past { epoch, valid_through: last });
            }
            epoch = Epoch::from_u32(number);
            let head = Head { named: true, epoch, past: past.clone() };
            let node = number.to_string();
            let tenure = TenureRecord { pen: *pen, node: node.clone(), key: key(), head };
            told.apply(&Record::Tenure(tenure), keeps);
            for _ in 0..*count {
                last += 1;
                let times = Times { base_ms: last, deltas: vec![0].into() };
                let slice = Slice { first_seq: last, last_seq: last, events: Bytes::new(), times };
                let said = SaidRecord { pen: *pen, generations: number, running: 1, slice };
                told.apply(&Record::Said(said), keeps);
            }
            prop_assert!(!told.broken);
            prop_assert_eq!((told.node.as_str(), told.pen), (node.as_str(), *pen));
            prop_assert_eq!((told.kept.epoch, told.kept.last_seq()), (epoch, last));
            prop_assert_eq!(&told.kept.past, &past);
            prop_assert_eq!(told.standing().last_seq, last);
        }
        let held = told.kept.slices.len() as u64;
        prop_assert_eq!(held, if keeps { last } else { last.min(1) });
        // What another tenure's pen wrote does not count, whatever it says; and after a gap nothing fits.
        let pen = told.pen;
        for (ours, first_seq) in [(false, last + 1), (false, last), (false, last + 9), (true, last + 2)] {
            let pen = if ours { pen } else { pen.wrapping_add(1) };
            let (before, mut told) = (told.clone(), told.clone());
            let times = Times { base_ms: 1, deltas: vec![0].into() };
            let slice = Slice { first_seq, last_seq: first_seq, events: Bytes::new(), times };
            let said = Record::Said(SaidRecord { pen, generations: 1, running: 0, slice });
            prop_assert_eq!(told.apply(&said, keeps), ours);
            prop_assert_eq!(told.broken, ours);
            prop_assert!(ours || told.kept == before.kept);
        }
        told.come_to(&Message { at: 9, at_ms: 1_234, payload: Bytes::new() });
        told.apply(&Record::Gone(Forgotten::Expired), keeps);
        let entry = told.entry(&key());
        prop_assert_eq!((entry.gone, entry.running, entry.last_seq), (Some(Forgotten::Expired), 0, 0));
        prop_assert_eq!((entry.at, entry.last_ms), (9, 1_234), "since when, it says");
        prop_assert_eq!(Entry::read(&entry.write().into()), Some(entry));
    }
}

/// A word on the first generation, begun and never ended; and one that is custom.
fn slice_of(seq: u64, kind: crate::event::Kind) -> Slice {
    let mut events = Vec::new();
    let event = crate::event::Event { generation: 0, choice: 0, kind };
    let mut encoded = Vec::new();
    wire::encode_event(&event, &mut encoded);
    events.push(wire::EVENTS_TAG);
    encode_varint(encoded.len() as u64, &mut events);
    events.extend_from_slice(&encoded);
    let times = Times { base_ms: seq, deltas: vec![0].into() };
    Slice { first_seq: seq, last_seq: seq, events: events.into(), times }
}

#[test]
fn what_is_read_past_the_bound_is_folded_and_its_fold_is_bounded() {
    use crate::event::{Custom, Kind};
    const BOUND: usize = 10_000;
    let (mut told, mut most) = (Told::nothing(), 0);
    for seq in 1..=2_000 {
        let data = Bytes::from(format!("\"{seq:0>100}\""));
        let kind = Kind::Custom(Custom { kind: "note".into(), data });
        let slice = slice_of(seq, kind);
        let said = SaidRecord { pen: 0, generations: 0, running: 0, slice };
        told.apply(&Record::Said(said), true);
        told.fold(BOUND);
        let held: usize = told.kept.slices.iter().map(|it| it.events.len()).sum();
        most = most.max(held);
        let through = told.kept.base.as_ref().map_or(0, |base| base.through);
        assert_eq!(told.kept.slices[0].first_seq, through + 1, "without a gap");
        assert_eq!((told.kept.last_seq(), told.broken), (seq, false));
    }
    assert!(most <= BOUND + BOUND / 4, "{most} bytes were held");
    let base = told.kept.base.expect("the head is folded");
    assert!(base.state.bytes() <= BOUND / 2, "the fold is bounded, too");
    // The newest of it is kept.
    let kept: Vec<u64> = base.state.customs.iter().map(|(seq, _)| *seq).collect();
    assert!(!kept.is_empty() && kept.iter().is_sorted() && kept.last() == Some(&base.through));
}
