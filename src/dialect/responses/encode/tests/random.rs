//! Whatever a generation says, in any order: the lifecycle holds.

use proptest::prelude::*;

use super::*;
use crate::dialect::responses::trial::{Heard, hear};

fn any_event() -> impl Strategy<Value = Event> {
    let piece = "[a-c{}\" é]{0,4}";
    prop_oneof![
        4 => piece.prop_map(Event::text),
        3 => piece.prop_map(|text| thought(&text)),
        1 => piece.prop_map(|text| signature(&text)),
        1 => piece.prop_map(|text| encrypted(&text)),
        1 => piece.prop_map(|text| Event::new(Kind::Refusal(text))),
        3 => (0..3u32, piece).prop_map(|(index, text)| arguments(index, &text)),
        1 => Just(Event::new(Kind::Citation(Bytes::from_static(b"\"https://a\"")))),
        1 => Just(Event::new(Kind::Resumed(Resumed::default()))),
        1 => Just(native("message", &json!({"id":"x"}))),
        1 => Just(native("compaction", &json!({"type":"compaction","id":"cmp"}))),
        1 => Just(Event::text("other").of_choice(1)),
    ]
}

/// A generation as decoders say it: calls are counted as they begin.
fn any_generation() -> impl Strategy<Value = Vec<Event>> {
    let dialect = prop::sample::select(vec!["responses", "anthropic", "gemini", "openai"]);
    let end = prop_oneof![
        Just(finished(FinishReason::Stop)),
        Just(finished(FinishReason::Length)),
        Just(Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamCut, "cut")))),
    ];
    let calls = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (dialect, prop::collection::vec(any_event(), 0..20), calls, end).prop_map(
        |(dialect, mut events, places, end)| {
            let mut places: Vec<_> =
                places.iter().map(|place| place.index(events.len() + 1)).collect();
            places.sort_unstable();
            for (number, place) in (0..3u32).zip(places).collect::<Vec<_>>().into_iter().rev() {
                events.insert(place, call(number, RunBy::Client));
            }
            events.insert(0, started(dialect));
            events.push(end);
            events
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_said_the_lifecycle_holds(events in any_generation()) {
        check(&values(&wires(&events)));
    }

    #[test]
    fn a_stream_is_a_prefix_of_a_longer_one_and_the_same_twice(events in any_generation(), upto: prop::sample::Index) {
        let all = wires(&events);
        prop_assert_eq!(&all, &wires(&events));
        let some = wires(&events[..upto.index(events.len() + 1)]);
        prop_assert_eq!(&all[..some.len()], &some[..]);
    }

    #[test]
    fn what_is_said_survives_being_encoded_and_decoded(mut events in any_generation()) {
        // What is given up on at a change of provider is not said again.
        events.retain(|event| !matches!(event.kind, Kind::Resumed(_) | Kind::Native(_)) && event.choice == 0);
        let before = hear(&events);
        let Heard { text, reasoning, refusal, .. } = hear(&decoded(&wires(&events)));
        prop_assert_eq!((text, reasoning, refusal), (before.text, before.reasoning, before.refusal));
    }
}
