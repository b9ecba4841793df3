//! The payloads between the first and the last: where they belong, and what they say.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    super::Wire,
    output::{Part, Summary},
};

/// A payload: its type, its number, and what is its own.
#[derive(Serialize)]
pub(super) struct Step<T> {
    pub r#type: &'static str,
    pub sequence_number: u64,
    #[serde(flatten)]
    pub body: T,
}

impl<T: Serialize> Step<T> {
    pub(super) fn wire(&self) -> Wire {
        let data = serde_json::to_vec(self).expect("strings and numbers become JSON");
        Wire { name: self.r#type, data: data.into() }
    }
}

/// An item begins or ends.
#[derive(Serialize)]
pub(super) struct Added<T> {
    pub output_index: usize,
    pub item: T,
}

/// A part of a message.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Place<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub content_index: usize,
}

#[derive(Serialize)]
pub(super) struct PartStep<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub part: &'a Part,
}

#[derive(Serialize)]
pub(super) struct TextDelta<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub delta: &'a str,
    pub logprobs: [(); 0],
}

#[derive(Serialize)]
pub(super) struct Delta<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub(super) struct TextDone<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub text: &'a str,
    pub logprobs: [(); 0],
}

#[derive(Serialize)]
pub(super) struct RefusalDone<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub refusal: &'a str,
}

#[derive(Serialize)]
pub(super) struct Annotation<'a> {
    #[serde(flatten)]
    pub place: Place<'a>,
    pub annotation_index: usize,
    pub annotation: &'a RawValue,
}

/// A part of a reasoning item.
#[derive(Clone, Copy, Serialize)]
pub(super) struct SummaryPlace<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub summary_index: usize,
}

#[derive(Serialize)]
pub(super) struct SummaryStep<'a> {
    #[serde(flatten)]
    pub place: SummaryPlace<'a>,
    pub part: &'a Summary,
}

#[derive(Serialize)]
pub(super) struct SummaryDelta<'a> {
    #[serde(flatten)]
    pub place: SummaryPlace<'a>,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub(super) struct SummaryDone<'a> {
    #[serde(flatten)]
    pub place: SummaryPlace<'a>,
    pub text: &'a str,
}

#[derive(Serialize)]
pub(super) struct ArgumentsDelta<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub delta: &'a str,
}

#[derive(Serialize)]
pub(super) struct ArgumentsDone<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub name: &'a str,
    pub arguments: &'a str,
}

#[derive(Serialize)]
pub(super) struct InputDone<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub input: &'a str,
}
