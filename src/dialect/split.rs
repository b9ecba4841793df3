//! No event may be longer than [`EVENT_BYTES_MAX`]: long ones are split here, on the way out of a decoder.

use bytes::Bytes;
use thiserror::Error;

use crate::event::{EVENT_BYTES_MAX, Event, Kind, Media, Reasoning, ToolArguments};

/// How long one field may be, so that the event around it, its numbers included, stays within the bound.
const PIECE_BYTES_MAX: usize = EVENT_BYTES_MAX - 1024;

/// An event that is too long and cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} of {bytes} bytes exceeds an event's {EVENT_BYTES_MAX}")]
pub struct TooLarge {
    /// What it is.
    pub what: &'static str,
    /// How long it is.
    pub bytes: usize,
}

/// Adds `event` to `out`, in as many pieces as it takes. Text is cut between characters; media that is cut goes on
/// counting from its own `part`, so give it whole.
pub fn split(event: Event, out: &mut Vec<Event>) -> Result<(), TooLarge> {
    if length(&event.kind) <= PIECE_BYTES_MAX {
        out.push(event);
        return Ok(());
    }
    let Event { generation, choice, kind } = event;
    let mut push = |kind| out.push(Event { generation, choice, kind });
    match kind {
        Kind::Text(text) => pieces(&text).for_each(|piece| push(Kind::Text(piece))),
        Kind::Refusal(text) => pieces(&text).for_each(|piece| push(Kind::Refusal(piece))),
        Kind::Reasoning(whole) => {
            let Reasoning { text, signature, encrypted } = whole;
            let part = Reasoning::default;
            pieces(&text).for_each(|text| push(Kind::Reasoning(Reasoning { text, ..part() })));
            pieces(&signature)
                .for_each(|signature| push(Kind::Reasoning(Reasoning { signature, ..part() })));
            pieces(&encrypted)
                .for_each(|encrypted| push(Kind::Reasoning(Reasoning { encrypted, ..part() })));
        }
        Kind::ToolArguments(ToolArguments { index, arguments }) => pieces(&arguments)
            .for_each(|arguments| push(Kind::ToolArguments(ToolArguments { index, arguments }))),
        Kind::Media(media) => split_media(media, push),
        Kind::Usage(mut usage) => {
            // The counts are what matters; a provider's object of this size is not one.
            usage.native = Bytes::new();
            push(Kind::Usage(usage));
        }
        kind => return Err(TooLarge { what: name(&kind), bytes: length(&kind) }),
    }
    Ok(())
}

fn split_media(media: Media, mut push: impl FnMut(Kind)) {
    let Media { mime, data, index, part, last } = media;
    let count = data.len().div_ceil(PIECE_BYTES_MAX);
    for (number, piece) in (0u32..).zip(data.chunks(PIECE_BYTES_MAX)) {
        let is_last = last && number as usize + 1 == count;
        let (data, part) = (data.slice_ref(piece), part + number);
        push(Kind::Media(Media { mime: mime.clone(), data, index, part, last: is_last }));
    }
}

/// `text` in pieces that fit, cut between characters.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES_MAX));
        rest = after;
        (!piece.is_empty()).then(|| piece.to_owned())
    })
}

/// The bytes of a kind that can grow without bound.
fn length(kind: &Kind) -> usize {
    match kind {
        Kind::Text(text) | Kind::Refusal(text) => text.len(),
        Kind::Reasoning(part) => part.text.len() + part.signature.len() + part.encrypted.len(),
        Kind::ToolArguments(part) => part.arguments.len(),
        Kind::ToolCall(call) => call.id.len() + call.name.len(),
        Kind::Citation(data) => data.len(),
        Kind::Media(media) => media.data.len() + media.mime.len(),
        Kind::Usage(usage) => usage.native.len(),
        Kind::Custom(custom) => custom.kind.len() + custom.data.len(),
        Kind::Native(native) => native.dialect.len() + native.name.len() + native.data.len(),
        Kind::Failed(failed) => failed.message.len(),
        Kind::Finished(end) | Kind::ChoiceFinished(end) => {
            end.native_reason.as_ref().map_or(0, String::len)
        }
        Kind::Started(start) => {
            start.id.len() + start.model.len() + start.provider.len() + start.dialect.len()
        }
        Kind::Resumed(it) => it.from.len() + it.to.len() + it.reason.len() + it.dialect.len(),
    }
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::ToolCall(_) => "a tool call's name and id",
        Kind::Citation(_) => "a citation",
        Kind::Custom(_) => "a custom event",
        Kind::Native(_) => "a native payload",
        _ => "an event",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_passes_as_it_is() {
        let mut out = Vec::new();
        split(Event::text("short"), &mut out).expect("short");
        assert_eq!(out, [Event::text("short")]);
    }

    #[test]
    fn media_is_split_into_counted_parts_and_only_the_last_is_last() {
        let data = Bytes::from(vec![7u8; 2 * PIECE_BYTES_MAX + 1]);
        let media = Media { mime: "image/png".into(), data, index: 3, part: 0, last: true };
        let mut out = Vec::new();
        split(Event::new(Kind::Media(media)), &mut out).expect("media can be split");
        let parts: Vec<_> = out
            .iter()
            .map(|event| match &event.kind {
                Kind::Media(media) => (media.index, media.part, media.last, media.data.len()),
                other => panic!("not media: {other:?}"),
            })
            .collect();
        let whole = PIECE_BYTES_MAX;
        assert_eq!(parts, [(3, 0, false, whole), (3, 1, false, whole), (3, 2, true, 1)]);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let data = Bytes::from(vec![b' '; EVENT_BYTES_MAX]);
        let refused = split(Event::new(Kind::Citation(data)), &mut Vec::new());
        assert_eq!(refused, Err(TooLarge { what: "a citation", bytes: EVENT_BYTES_MAX }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn long_text_comes_in_pieces_that_join_to_it(word in "[a-é😀]{1,9}", tail in "[a-é😀]{0,9}") {
            let text = word.repeat(PIECE_BYTES_MAX / word.len() * 2) + &tail;
            let mut out = Vec::new();
            split(Event::text(text.clone()).of_choice(2), &mut out).expect("text can be split");
            let mut joined = String::new();
            for event in out {
                prop_assert_eq!(event.choice, 2);
                let Kind::Text(piece) = event.kind else { panic!("not text") };
                prop_assert!(piece.len() <= PIECE_BYTES_MAX);
                joined += &piece;
            }
            prop_assert_eq!(joined, text);
        }
    }
}
