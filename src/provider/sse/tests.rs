use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::*;

/// All items of a stream that arrives as `chunks`, the unfinished last one included.
fn decode(chunks: impl IntoIterator<Item = Bytes>) -> Vec<Item> {
    let mut decoder = Decoder::new();
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(item) = decoder.next().expect("within the bound") {
            items.push(item);
        }
    }
    items.extend(decoder.finish().map(Item::Payload));
    items
}

fn payloads(items: Vec<Item>) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let pair = |item| match item {
        Item::Payload(payload) => Some((text(&payload.event), text(&payload.data))),
        Item::Comment => None,
    };
    items.into_iter().filter_map(pair).collect()
}

fn check(stream: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(e, d)| (e.to_owned(), d.to_owned())).collect();
    assert_eq!(payloads(decode([Bytes::from(stream.to_owned())])), expected, "whole: {stream:?}");
    let bytes = stream.bytes().map(|byte| Bytes::copy_from_slice(&[byte]));
    assert_eq!(payloads(decode(bytes)), expected, "byte by byte: {stream:?}");
}

#[test]
fn every_line_end_and_every_spelling_is_read() {
    check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]);
    check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
    check("event:delta\ndata:a\n\n", &[("delta", "a")]);
    check("event: delta\ndata:  a \n\n", &[("delta", " a ")]);
    check("data: a\ndata: b\r\ndata\n\n", &[("", "a\nb\n")]);
    check("\u{feff}data: a\n\ndata: \u{feff}b\n\n", &[("", "a"), ("", "\u{feff}b")]);
    check("id: 7\nretry: 3\ndata: a\nid: 8\n\n", &[("", "a")]);
    check(": PROCESSING\n\n:\n\n: \r\n\r\ndata: a\n\n", &[("", "a")]);
    check("event: ping\n\ndata: a\n\n", &[("", "a")]);
    check("data: a\n:between\ndata: b\n\n", &[("", "a\nb")]);
    check("\n\n\r\n\rdata: a\n\n", &[("", "a")]);
}

#[test]
fn an_error_in_a_field_of_that_name_is_an_event_error() {
    check("error: {\"message\":\"out\"}\n\n", &[("error", "{\"message\":\"out\"}")]);
    check("error:{\"message\":\"out\"}", &[("error", "{\"message\":\"out\"}")]);
}

#[test]
fn a_last_event_without_its_empty_line_counts_only_if_it_is_whole() {
    check("data: {\"a\":1}\n\ndata: [DONE]", &[("", "{\"a\":1}"), ("", "[DONE]")]);
    check("data: {\"a\":1}", &[("", "{\"a\":1}")]);
    check("event: error\ndata: {\"a\":1}\n", &[("error", "{\"a\":1}")]);
    check("data: {\"a\":1}\r", &[("", "{\"a\":1}")]);
    check("data: {\"a\":", &[]);
    check("data: [DO", &[]);
}

#[test]
fn comments_and_empty_events_are_signs_of_life() {
    let items = decode([Bytes::from_static(b": one\n: two\n\nevent: ping\n\n")]);
    assert_eq!(items, [Item::Comment, Item::Comment, Item::Comment]);
}

#[test]
fn the_raw_event_is_what_came() {
    let stream = Bytes::from_static(b": hi\n\nfoo: bar\r\nevent: x\r\ndata: a\r\n\r\ndata:b");
    let mut decoder = Decoder::new();
    decoder.push(stream.clone());
    assert_eq!(decoder.next(), Ok(Some(Item::Comment)));
    let Ok(Some(Item::Payload(payload))) = decoder.next() else { panic!("a payload") };
    assert_eq!(payload.raw, "foo: bar\r\nevent: x\r\ndata: a");
    let within = |part: &Bytes| stream.as_ptr_range().contains(&part.as_ptr());
    assert!(within(&payload.raw) && within(&payload.data), "slices of the chunk, not copies");
}

#[test]
fn an_event_beyond_the_bound_is_refused_for_good() {
    for cut in [1, 7, 64] {
        let mut decoder = Decoder::with_limit(16);
        let mut refused = false;
        for chunk in b"data: 0123456789abcdef\n\ndata: a\n\n".chunks(cut) {
            decoder.push(Bytes::copy_from_slice(chunk));
            refused |= decoder.next() == Err(EventTooLong { limit: 16 });
        }
        assert!(refused, "cut every {cut}");
        assert_eq!(decoder.next(), Err(EventTooLong { limit: 16 }));
    }
}

#[test]
fn many_short_events_do_not_count_together() {
    let mut decoder = Decoder::with_limit(16);
    decoder.push(Bytes::from("data: a\n\n".repeat(100)));
    let mut count = 0;
    while decoder.next().expect("each is short").is_some() {
        count += 1;
    }
    assert_eq!(count, 100);
}

/// A stream such as servers write, in any of the three line ends, each event ended by an empty line.
fn well_formed() -> impl Strategy<Value = String> {
    let word = "[a-zé😀:{}\" ]{0,12}";
    let line = prop_oneof![
        4 => word.prop_map(|text| format!("data: {text}")),
        1 => word.prop_map(|text| format!("data:{text}")),
        1 => "[a-z_.]{1,8}".prop_map(|name| format!("event: {name}")),
        1 => word.prop_map(|text| format!(": {text}")),
        1 => Just("id: 1".to_owned()),
        1 => Just("retry: 10".to_owned()),
        1 => Just("data".to_owned()),
        1 => Just("foo: bar".to_owned()),
    ];
    let event = (prop::collection::vec(line, 1..5), prop::sample::select(vec!["\n", "\r\n", "\r"]))
        .prop_map(|(lines, end)| lines.join(end) + end + end);
    prop::collection::vec(event, 0..12).prop_map(|events| events.concat())
}

/// `bytes`, cut where `cuts` say.
fn cut(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| Bytes::copy_from_slice(&bytes[pair[0]..pair[1]])).collect()
}

proptest! {
    #[test]
    fn any_cutting_gives_what_the_whole_gives(
        bom in "\u{feff}?",
        stream in well_formed(),
        tail in "(data: (\\{\\}|\\[DONE\\]|x)\r?)?",
        cuts: Vec<prop::sample::Index>,
    ) {
        let bytes = (bom + &stream + &tail).into_bytes();
        let whole = decode([Bytes::from(bytes.clone())]);
        let chunks = cut(&bytes, &cuts);
        prop_assert_eq!(&decode(chunks.clone()), &whole);

        // Drained only at the end.
        let mut decoder = Decoder::new();
        chunks.into_iter().for_each(|chunk| decoder.push(chunk));
        let mut items = Vec::new();
        while let Some(item) = decoder.next().expect("within the bound") {
            items.push(item);
        }
        items.extend(decoder.finish().map(Item::Payload));
        prop_assert_eq!(items, whole);
    }

    // Without a BOM: the oracle panics on one that stands alone.
    #[test]
    fn the_oracle_reads_the_same(stream in well_formed(), cuts: Vec<prop::sample::Index>) {
        let chunks = cut(stream.as_bytes(), &cuts);
        // Two line feeds more: the oracle holds a last CR back until it knows what follows.
        let fed = chunks.iter().cloned().chain([Bytes::from_static(b"\n\n")]);
        let oracle: Vec<_> = stream::iter(fed.map(Ok::<_, std::io::Error>))
            .eventsource()
            .map(|event| event.expect("well-formed"))
            .map(|event| (event.event, event.data))
            .collect()
            .now_or_never()
            .expect("nothing to wait for");
        let named = |(event, data): (String, String)| match event.is_empty() {
            true => ("message".to_owned(), data),
            false => (event, data),
        };
        let ours: Vec<_> = payloads(decode(chunks)).into_iter().map(named).collect();
        prop_assert_eq!(ours, oracle);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>, cuts: Vec<prop::sample::Index>) {
        let whole = decode([Bytes::from(bytes.clone())]);
        prop_assert_eq!(decode(cut(&bytes, &cuts)), whole);
    }
}
