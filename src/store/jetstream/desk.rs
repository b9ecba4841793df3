//! What nodes ask each other for: only the node that writes a channel can stop what runs there, or say more.
//!
//! A question is a record with the channel's key and what is asked; an answer is a record, too. Nobody asks for what a client
//! may not do: whoever asks has looked at that.

use std::time::Duration;

use bytes::Bytes;
use prost::encoding::encode_varint;

use super::super::{
    Answer, Ask, Begun, Refusal,
    coding::{self, Fields, Found},
};
use crate::{
    event::Custom,
    ident::{ChannelKey, GenerationId},
    sequence::Cursor,
};

/// How long a node may take: what is published must be safe before it answers.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

const CANCEL_ALL: u8 = 0;
const CANCEL: u8 = 1;
const PUBLISH: u8 = 2;
const ATTEND: u8 = 3;
const BEGIN: u8 = 4;
const RECALL: u8 = 5;

const NOT_HERE: u8 = 0;
const DONE: u8 = 1;
const PUBLISHED: u8 = 2;
const REFUSED: u8 = 3;
const BEGUN: u8 = 4;
const RECALLED: u8 = 5;

/// By their numbers.
const REFUSALS: [Refusal; 7] = [
    Refusal::Store,
    Refusal::UnknownGeneration,
    Refusal::Closed,
    Refusal::Full,
    Refusal::TooLarge,
    Refusal::Limited,
    Refusal::NotBegun,
];

fn record(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    let body = coding::begin(&mut out);
    write(&mut out);
    coding::end(&mut out, body);
    out.into()
}

fn fields(message: &Bytes) -> Option<Fields> {
    match coding::next(message) {
        Found::Body(body, _) => Some(Fields(body)),
        Found::End | Found::Torn => None,
    }
}

pub(super) fn write_ask(key: &ChannelKey, ask: &Ask) -> Bytes {
    record(|out| {
        coding::write_key(key, out);
        match ask {
            Ask::Cancel(None) => out.push(CANCEL_ALL),
            Ask::Cancel(Some(generation)) => {
                out.push(CANCEL);
                coding::write_bytes(generation.as_str().as_bytes(), out);
            }
            Ask::Publish(Custom { kind, data }) => {
                out.push(PUBLISH);
                coding::write_bytes(kind.as_bytes(), out);
                coding::write_bytes(data, out);
            }
            Ask::Attend(node) => {
                out.push(ATTEND);
                coding::write_bytes(node.as_bytes(), out);
            }
            Ask::Begin(node, call) => {
                out.push(BEGIN);
                coding::write_bytes(node.as_bytes(), out);
                coding::write_bytes(call, out);
            }
            Ask::Recall(question) => {
                out.push(RECALL);
                coding::write_bytes(question, out);
            }
        }
    })
}

pub(super) fn read_ask(message: &Bytes) -> Option<(ChannelKey, Ask)> {
    let mut fields = fields(message)?;
    let key = fields.key()?;
    let ask = match fields.byte()? {
        CANCEL_ALL => Ask::Cancel(None),
        CANCEL => Ask::Cancel(Some(GenerationId::claimed(&fields.text()?))),
        PUBLISH => Ask::Publish(Custom { kind: fields.text()?, data: fields.bytes()? }),
        ATTEND => Ask::Attend(fields.text()?),
        BEGIN => Ask::Begin(fields.text()?, fields.bytes()?),
        RECALL => Ask::Recall(fields.bytes()?),
        _ => return None,
    };
    Some((key, ask))
}

pub(super) fn write_answer(answer: Option<&Answer>) -> Bytes {
    record(|out| match answer {
        None => out.push(NOT_HERE),
        Some(Answer::Done) => out.push(DONE),
        Some(Answer::Published(Cursor { epoch, seq })) => {
            out.push(PUBLISHED);
            encode_varint(u64::from(epoch.as_u32()), out);
            encode_varint(*seq, out);
        }
        Some(Answer::Begun(begun)) => {
            let Begun { generation, index, cursor, traceparent } = begun;
            out.push(BEGUN);
            coding::write_bytes(generation.as_str().as_bytes(), out);
            for number in [u64::from(*index), u64::from(cursor.epoch.as_u32()), cursor.seq] {
                encode_varint(number, out);
            }
            coding::write_bytes(traceparent.as_bytes(), out);
        }
        Some(Answer::Recalled(what)) => {
            out.push(RECALLED);
            coding::write_bytes(what, out);
        }
        Some(Answer::Refused(refusal)) => {
            let number = REFUSALS.iter().position(|it| it == refusal).unwrap_or_default();
            out.extend_from_slice(&[REFUSED, number as u8]);
        }
    })
}

/// `None`: it cannot be understood. `Some(None)`: the channel is not written there.
pub(super) fn read_answer(message: &Bytes) -> Option<Option<Answer>> {
    let mut fields = fields(message)?;
    Some(Some(match fields.byte()? {
        NOT_HERE => return Some(None),
        DONE => Answer::Done,
        PUBLISHED => Answer::Published(Cursor { epoch: fields.epoch()?, seq: fields.number()? }),
        BEGUN => Answer::Begun(Begun {
            generation: GenerationId::claimed(&fields.text()?),
            index: fields.small()?,
            cursor: Cursor { epoch: fields.epoch()?, seq: fields.number()? },
            traceparent: fields.text()?,
        }),
        RECALLED => Answer::Recalled(fields.bytes()?),
        REFUSED => Answer::Refused(*REFUSALS.get(usize::from(fields.byte()?))?),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ident::{ChannelId, Owner},
        sequence::Epoch,
    };

    fn asks() -> impl Strategy<Value = Ask> {
        prop_oneof![
            Just(Ask::Cancel(None)),
            "[a-z_0-9]{1,30}".prop_map(|id| Ask::Cancel(Some(GenerationId::claimed(&id)))),
            "[a-z_]{1,30}".prop_map(Ask::Attend),
            ("[a-z_]{1,30}", prop::collection::vec(any::<u8>(), 0..200))
                .prop_map(|(node, call)| Ask::Begin(node, call.into())),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|it| Ask::Recall(it.into())),
            (".{1,20}", prop::collection::vec(any::<u8>(), 0..200))
                .prop_map(|(kind, data)| Ask::Publish(Custom { kind, data: data.into() })),
        ]
    }

    fn answers() -> impl Strategy<Value = Option<Answer>> {
        prop_oneof![
            Just(None),
            Just(Some(Answer::Done)),
            (any::<u32>(), any::<u64>()).prop_map(|(epoch, seq)| {
                Some(Answer::Published(Cursor { epoch: Epoch::from_u32(epoch), seq }))
            }),
            prop::collection::vec(any::<u8>(), 0..200)
                .prop_map(|what| Some(Answer::Recalled(what.into()))),
            prop::sample::select(&REFUSALS[..]).prop_map(|it| Some(Answer::Refused(it))),
            ("[a-z_0-9]{1,30}", any::<u32>(), any::<u64>(), "[0-9a-f-]{0,55}").prop_map(
                |(id, index, seq, traceparent)| {
                    let cursor = Cursor { epoch: Epoch::from_u32(index), seq };
                    let generation = GenerationId::claimed(&id);
                    Some(Answer::Begun(Begun { generation, index, cursor, traceparent }))
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_is_asked_is_understood(ask in asks(), owner in ".{0,10}", id in "[a-z._:-]{1,20}") {
            let id = ChannelId::parse(&id).expect("an id");
            let key = ChannelKey { owner: Owner::new(&owner), id };
            prop_assert_eq!(read_ask(&write_ask(&key, &ask)), Some((key, ask)));
        }

        #[test]
        fn what_is_answered_is_understood(answer in answers()) {
            prop_assert_eq!(read_answer(&write_answer(answer.as_ref())), Some(answer));
        }

        #[test]
        fn what_is_neither_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(read_ask(&bytes), None);
            prop_assert_eq!(read_answer(&bytes), None);
        }
    }
}
