//! What a chunk looks like.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::details::Detail;

#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: &'a [ChoicePart<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(flatten)]
    pub(super) more: HashMap<&'a str, &'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct ChoicePart<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_details: Option<Vec<Detail>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[Tool<'a>; 1]>,
    #[serde(flatten)]
    pub(super) more: HashMap<&'a str, &'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct Tool<'a> {
    pub(super) index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<&'static str>,
    pub(super) function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<Extra<'a>>,
}

/// What a call has that only Google's own compatible endpoint knows: the signature that must come back with it.
#[derive(Serialize)]
pub(in super::super) struct Extra<'a> {
    google: Google<'a>,
}

#[derive(Serialize)]
struct Google<'a> {
    thought_signature: &'a str,
}

impl<'a> Extra<'a> {
    pub(in super::super) fn of(signature: &'a str) -> Option<Self> {
        let google = Google { thought_signature: signature };
        (!signature.is_empty()).then_some(Self { google })
    }
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}
