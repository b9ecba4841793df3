use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue};
use proptest::prelude::*;

use super::*;

fn frame(headers: &[(&'static str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut message = Message::new(Bytes::copy_from_slice(payload));
    for (name, value) in headers {
        let value = HeaderValue::String((*value).to_owned().into());
        message = message.add_header(Header::new(*name, value));
    }
    let mut frame = Vec::new();
    write_message_to(&message, &mut frame).expect("a message that can be written");
    frame
}

fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    frame(&[(":message-type", "event"), (":event-type", name)], payload)
}

/// The payloads' names and data, and how reading ended.
type Read = (Vec<(String, Bytes)>, Option<FramingError>);

fn read(chunks: impl IntoIterator<Item = Bytes>) -> Read {
    let (mut frames, mut found) = (EventStream::with_limit(4096), Vec::new());
    let mut keep = |payload: Payload| found.push((payload.name().to_owned(), payload.data));
    for chunk in chunks {
        frames.push(chunk);
        loop {
            match frames.next() {
                Ok(Some(Item::Payload(payload))) => keep(payload),
                Ok(Some(Item::Comment)) => panic!("there are no comments"),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(frames.next(), Err(error.clone()), "an error stays");
                    assert_eq!(frames.finish(), None, "nothing follows an error");
                    return (found, Some(error));
                }
            }
        }
    }
    if let Some(cut) = frames.finish() {
        keep(cut);
    }
    (found, None)
}

#[test]
fn a_frame_is_named_by_what_it_is() {
    let frames = [
        event("messageStart", b"{\"role\":\"assistant\"}"),
        frame(
            &[(":exception-type", "throttlingException"), (":message-type", "exception")],
            b"{\"message\":\"slow\"}",
        ),
        frame(
            &[(":message-type", "error"), (":error-code", "Broken"), (":error-message", "a \"b\"")],
            b"",
        ),
    ];
    let (found, error) = read([frames.concat().into()]);
    assert_eq!(error, None);
    let found: Vec<_> = found.iter().map(|(name, data)| (&**name, &data[..])).collect();
    assert_eq!(
        found,
        [
            ("messageStart", &b"{\"role\":\"assistant\"}"[..]),
            ("exception:throttlingException", b"{\"message\":\"slow\"}"),
            ("error:Broken", b"{\"message\":\"a \\\"b\\\"\"}"),
        ]
    );
}

#[test]
fn what_is_left_at_the_end_is_a_cut() {
    let mut body = event("messageStop", b"{}");
    body.extend_from_slice(&event("metadata", b"{}")[..9]);
    let (found, error) = read([body.into()]);
    let names: Vec<_> = found.iter().map(|(name, _)| &**name).collect();
    assert_eq!((names, error), (vec!["messageStop", CUT], None));
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let whole = event("contentBlockDelta", b"{\"contentBlockIndex\":0}");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut broken = whole.clone();
            broken[at] ^= 1 << bit;
            let (found, error) = read([broken.into()]);
            assert!(matches!(error, Some(FramingError::Malformed(_))), "{at}.{bit}: {found:?}");
        }
    }
}

#[test]
fn what_is_no_event_stream_is_refused_at_once() {
    let refused = read([Bytes::from_static(b"{\"message\":\"The request was denied\"}")]).1;
    assert!(matches!(refused, Some(FramingError::Malformed(_))), "{refused:?}");
    let nameless = read([frame(&[(":message-type", "event")], b"{}").into()]).1;
    let named = FramingError::Malformed("a frame lacks the header :event-type".into());
    assert_eq!(nameless, Some(named));
}

#[test]
fn a_frame_beyond_the_bound_is_refused_by_its_prelude() {
    let long = event("chunk", &[b' '; 5000]);
    let (_, error) = read([Bytes::copy_from_slice(&long[..PRELUDE_BYTES])]);
    assert_eq!(error, Some(FramingError::TooLong { limit: 4096 }));
}

#[test]
fn what_is_held_stays_within_the_bound() {
    let whole = event("chunk", &[b' '; 4000]);
    let mut frames = EventStream::with_limit(4096);
    for piece in whole.repeat(5).chunks(100) {
        frames.push(Bytes::copy_from_slice(piece));
        while let Ok(Some(_)) = frames.next() {}
        assert!(frames.held.len() < 4096);
    }
    assert_eq!(frames.finish(), None);
}

proptest! {
    #[test]
    fn bytes_may_be_cut_anywhere(
        payloads in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..40)), 0..5),
        lost in 0usize..3,
        cuts: Vec<prop::sample::Index>,
    ) {
        let mut body: Vec<u8> = payloads.iter().flat_map(|(name, data)| event(name, data)).collect();
        body.truncate(body.len().saturating_sub(lost));
        let body = Bytes::from(body);
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| body.slice(pair[0]..pair[1]));
        let (found, error) = read(pieces);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found.len(), payloads.len(), "the last one is whole or cut");
        prop_assert_eq!(&found, &read([body]).0);
    }

    #[test]
    fn whatever_a_frame_holds_is_read_or_refused(
        headers in prop::collection::vec(any::<u8>(), 0..80),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        claimed in 0u32..200,
    ) {
        // A frame whose checksums hold, so that whatever is inside is read as well.
        let length = u32::try_from(headers.len() + payload.len() + FRAME_BYTES_MIN).expect("short");
        let mut frame = [length.to_be_bytes(), claimed.to_be_bytes()].concat();
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame.extend([headers, payload].concat());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        let mut frames = EventStream::with_limit(4096);
        frames.push(frame.into());
        let read = frames.next();
        prop_assert!(!matches!(read, Ok(None)), "it is whole, so it is one or the other");
        prop_assert!(frames.held.is_empty());
    }
}
