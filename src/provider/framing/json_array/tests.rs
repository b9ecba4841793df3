use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What comes out of `chunks`, and whether the end is still to come.
fn read(chunks: &[&[u8]], limit: usize) -> (Vec<Bytes>, Result<bool, FramingError>) {
    let mut framing = JsonArray::with_limit(limit);
    let mut out = Vec::new();
    for chunk in chunks {
        framing.push(Bytes::copy_from_slice(chunk));
        loop {
            match framing.next() {
                Ok(Some(Item::Payload(payload))) => out.push(payload.data),
                Ok(Some(Item::Comment)) => panic!("an array has no comments"),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framing.next(), Err(error.clone()), "an error stays");
                    return (out, Err(error));
                }
            }
        }
    }
    (out, Ok(framing.is_open()))
}

fn whole(text: &str) -> (Vec<Bytes>, Result<bool, FramingError>) {
    read(&[text.as_bytes()], EVENT_BYTES_MAX)
}

#[test]
fn elements_come_out_exactly_as_they_were_written() {
    let (elements, open) = whole("[{ \"a\" : \"}]\\\"\" }\r\n,\r\n{\"b\":[1,{}]}]\r\n");
    assert_eq!(elements, ["{ \"a\" : \"}]\\\"\" }", "{\"b\":[1,{}]}"]);
    assert_eq!(open, Ok(false));
}

#[test]
fn one_object_is_one_payload_and_its_end_the_stream_s() {
    let (elements, open) = whole("\u{feff} {\"error\":{\"code\":404}}\n junk {}");
    assert_eq!(elements, ["{\"error\":{\"code\":404}}"]);
    assert_eq!(open, Ok(false));
    assert_eq!(whole("[]"), (vec![], Ok(false)));
}

#[test]
fn a_stream_without_its_last_bracket_is_open() {
    for cut in ["", "[", "[{\"a\":1}", "[{\"a\":1},", "[{\"a\":1},{\"b\"", "{\"a\":1"] {
        assert_eq!(whole(cut).1, Ok(true), "{cut}");
    }
}

#[test]
fn what_is_no_array_of_objects_is_malformed() {
    for text in ["<html>", "[1]", "[{}x]", "\"a\"", "[[{}]]", "data: {}"] {
        assert!(matches!(whole(text).1, Err(FramingError::Malformed(_))), "{text}");
    }
}

#[test]
fn an_element_beyond_the_bound_is_refused_however_it_comes() {
    let text = format!("[{{\"a\":\"{}\"}},{{}}]", "x".repeat(100));
    let too_long = Err(FramingError::TooLong { limit: 50 });
    assert_eq!(read(&[text.as_bytes()], 50).1, too_long);
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(read(&bytes, 50).1, too_long);
    assert_eq!(read(&bytes, 200).0.len(), 2);
}

fn element() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        "[a\"\\\\{}\\[\\],é😀\n]{0,8}".prop_map(|text| json!(text)),
    ];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::btree_map("[a\"\\\\}\\]]{0,3}", inner, 0..4)
                .prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[a-c\"\\\\{]{0,3}", tree, 0..4).prop_map(|map| json!(map))
}

proptest! {
    #[test]
    fn elements_are_what_serde_reads_wherever_they_are_cut(
        elements in prop::collection::vec(element(), 0..5),
        pretty: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let text = write(&elements).expect("JSON");
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let chunks: Vec<_> =
            places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let (found, open) = read(&chunks, EVENT_BYTES_MAX);
        prop_assert_eq!(open, Ok(false));
        let found: Vec<Value> =
            found.iter().map(|data| serde_json::from_slice(data).expect("JSON")).collect();
        prop_assert_eq!(found, elements);
    }

    #[test]
    fn whatever_comes_nothing_panics_and_cuts_change_nothing(
        text in "[\\[\\]{}\",\\\\ a\n]{0,40}",
        cut: prop::sample::Index,
    ) {
        let bytes = text.as_bytes();
        let at = cut.index(bytes.len() + 1);
        let (before, after) = bytes.split_at(at);
        prop_assert_eq!(read(&[before, after], 16), read(&[bytes], 16));
    }
}
