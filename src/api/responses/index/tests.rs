use proptest::prelude::*;

use super::*;
use crate::ident::ChannelId;

fn entry(owner: &str, id: &str, input: usize) -> Entry {
    let item = format!("\"{}\"", "x".repeat(input));
    Entry {
        channel: ChannelKey { owner: Owner::new(owner), id: ChannelId::random() },
        generation: 0,
        started: GenerationId::claimed(&id.replacen("resp_", "gen_", 1)),
        first_seq: 1,
        input: vec![RawValue::from_string(item).expect("JSON")],
        stored: true,
        theirs: false,
        asked: Asked::default(),
        id: id.to_owned(),
        numbers: Numbers::default(),
    }
}

#[test]
fn an_id_is_only_its_owners() {
    let (one, two) = (Owner::new("one"), Owner::new("two"));
    let mut index = Responses::new(Limits::default());
    index.insert(entry("one", "resp_1", 1));
    assert!(index.get(&one, "resp_1").is_some());
    assert!(index.get(&two, "resp_1").is_none());
    assert!(index.remove(&two, "resp_1").is_none());
    index.insert(entry("two", "resp_1", 1));
    assert!(index.remove(&two, "resp_1").is_some());
    assert!(index.get(&one, "resp_1").is_some(), "another owner's has gone, not this one");
}

#[test]
fn a_response_is_found_by_either_id_and_forgotten_under_both() {
    let owner = Owner::new("one");
    let mut index = Responses::new(Limits::default());
    index.insert(entry("one", "resp_1", 1));
    index.insert(entry("one", "resp_2", 1));
    index.also(&owner, "resp_1", "resp_theirs");
    index.also(&owner, "resp_2", "resp_theirs");
    index.also(&owner, "resp_2", "resp_1");
    let found = |id| index.get(&owner, id).map(|entry| &*entry.id);
    assert_eq!(found("resp_theirs"), Some("resp_2"), "told again it is the newer one's");
    assert_eq!(found("resp_1"), Some("resp_1"), "an id of ours stays what it is");
    for more in 0..100 {
        index.also(&owner, "resp_2", &format!("resp_more_{more}"));
    }
    assert_eq!(index.ids[&owner].len(), IDS_MAX + 1, "a provider cannot grow it");
    assert!(index.remove(&owner, "resp_theirs").is_some());
    assert!(index.get(&owner, "resp_2").is_none());
    assert_eq!(index.ids[&owner].len(), 1);
}

#[test]
fn what_the_app_was_told_is_its_id_and_nobody_elses_business() {
    let (one, two) = (Owner::new("one"), Owner::new("two"));
    let mut index = Responses::new(Limits::default());
    index.insert(entry("one", "resp_1", 1));
    index.insert(entry("one", "resp_2", 1));
    index.told(&one, "resp_1", "resp_theirs");
    for id in ["resp_1", "resp_theirs"] {
        assert_eq!(index.get(&one, id).map(|entry| &*entry.id), Some("resp_theirs"));
        assert!(index.is_anothers(&two, id) && !index.is_anothers(&one, id));
    }
    assert!(!index.is_anothers(&two, "resp_3"));
    // What is no id changes nothing.
    index.told(&one, "resp_2", "");
    index.told(&one, "resp_2", &"x".repeat(ID_BYTES_MAX + 1));
    assert_eq!(index.get(&one, "resp_2").map(|entry| &*entry.id), Some("resp_2"));
    // A provider that tells an id again means the newer one.
    index.told(&one, "resp_2", "resp_theirs");
    assert_eq!(index.get(&one, "resp_2").map(|entry| &*entry.id), Some("resp_theirs"));
    assert_eq!(index.oldest().map(|entry| &*entry.id), Some("resp_1"));
    index.remove(&one, "resp_theirs");
    index.remove(&one, "resp_1");
    assert_eq!(index.size(), (0, 0));
}

#[test]
fn numbers_that_are_forgotten_give_their_bytes_back() {
    let owner = Owner::new("one");
    let mut index = Responses::new(Limits::default());
    index.insert(entry("one", "resp_1", 1));
    let (_, empty) = index.size();
    for number in 0..10 {
        index.note(&owner, "resp_1", number * 2, number * 3 + 1);
    }
    let (_, full) = index.size();
    index.go_on_after(&owner, "resp_1", Some(4));
    let (_, some) = index.size();
    assert!(empty < some && some < full);
    assert_eq!(index.get(&owner, "resp_1").and_then(|it| it.numbers.last()), Some((4, 7)));
    index.go_on_after(&owner, "resp_1", None);
    assert_eq!(index.size().1, empty);
}

#[test]
fn what_is_not_stored_keeps_no_input() {
    let owner = Owner::new("one");
    let mut index = Responses::new(Limits::default());
    index.insert(Entry { stored: false, ..entry("one", "resp_1", 1000) });
    assert_eq!(index.get(&owner, "resp_1").map(|entry| entry.input.len()), Some(0));
    assert!(index.size().1 < 1000);
}

#[test]
fn what_was_said_on_a_channel_goes_with_it() {
    let owner = Owner::new("one");
    let mut index = Responses::new(Limits::default());
    let first = entry("one", "resp_1", 1);
    let channel = first.channel.clone();
    index.insert(first);
    index.insert(entry("one", "resp_2", 1));
    index.forget_channel(&channel);
    assert!(index.get(&owner, "resp_1").is_none());
    assert_eq!(index.size().0, 1);
    index.remove(&owner, "resp_2");
    assert_eq!(index.size(), (0, 0));
    assert!(index.ids.is_empty());
}

#[test]
fn numbers_are_kept_with_their_response() {
    let owner = Owner::new("one");
    let mut index = Responses::new(Limits::default());
    index.insert(entry("one", "resp_1", 1));
    index.note(&owner, "resp_1", 0, 7);
    index.note(&owner, "resp_1", 1, 8);
    index.note(&owner, "resp_unknown", 1, 8);
    let numbers = index.get(&owner, "resp_1").map(|entry| entry.numbers.clone()).expect("kept");
    assert_eq!((numbers.seq(0), numbers.seq(1)), (Some(7), Some(8)));
}

proptest! {
    #[test]
    fn it_stays_within_its_limits_and_the_newest_stay(steps in prop::collection::vec((0..20u8, 0..400usize, 0..4u8), 1..80)) {
        let limits = Limits { entries: 6, bytes: 6000 };
        let owner = Owner::new("one");
        let mut index = Responses::new(limits);
        for (number, input, what) in steps {
            let id = format!("resp_{number}");
            match what {
                0 => drop(index.remove(&owner, &id)),
                1 => index.note(&owner, &id, input as u64, input as u64),
                _ => {
                    index.insert(entry("one", &id, input));
                    prop_assert!(index.get(&owner, &id).is_some(), "the newest stays");
                }
            }
            let (entries, bytes) = index.size();
            prop_assert!(entries <= limits.entries && bytes <= limits.bytes);
            let held: usize = index.entries.values().map(|held| held.entry.bytes()).sum();
            prop_assert_eq!(bytes, held, "counted as they are");
            let ids = index.ids.get(&owner).map_or(0, HashMap::len);
            prop_assert_eq!(ids, entries);
        }
    }
}
