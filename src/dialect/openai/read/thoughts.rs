//! What the model thought in an earlier turn, as an app gives it back: `reasoning_content` for its text, and
//! `reasoning_details` for what its maker signed or encrypted.

use serde_json::value::RawValue;

use super::{
    super::details::origin,
    members::{Members, inner, list, string},
};
use crate::dialect::{
    BadRequest, Dialect,
    call::{Part, PartKind, Thought},
};

/// One message's thoughts.
pub(super) struct Thoughts {
    text: String,
    details: Vec<(Thought, String)>,
}

impl Thoughts {
    pub(super) fn read(members: &mut Members<'_>, path: &str) -> Result<Self, BadRequest> {
        let text = members.string("reasoning_content", path)?;
        let other = members.take("reasoning").filter(|raw| raw.get().starts_with('"'));
        let other = other.map(|raw| string(raw, &inner(path, "reasoning"))).transpose()?;
        let mut details: Vec<(Thought, String)> = Vec::new();
        let at = inner(path, "reasoning_details");
        let listed = members.take("reasoning_details").map(|raw| list(raw, &at)).transpose()?;
        // What its provider streamed in parts comes back in parts, of which the last is signed.
        let mut open = false;
        for (number, raw) in listed.into_iter().flatten().enumerate() {
            let path = format!("{at}[{number}]");
            let thought = detail(raw, &path)?;
            let closes = !thought.signature.is_empty() || !thought.encrypted.is_empty();
            match details.last_mut().filter(|_| open && thought.encrypted.is_empty()) {
                Some((last, _)) => {
                    last.text += &thought.text;
                    last.signature = thought.signature;
                    last.origin = thought.origin.or(last.origin);
                }
                None => details.push((thought, path)),
            }
            open = !closes;
        }
        Ok(Self { text: text.or(other).unwrap_or_default(), details })
    }

    /// The thoughts that stand before the answer, and Google's signatures after it. `of_calls` are signatures that stand
    /// with the calls themselves.
    pub(super) fn parts(self, of_calls: &[String], path: &str) -> (Vec<Part>, Vec<Part>) {
        let Self { text, mut details } = self;
        let bare = |thought: &Thought| thought.text.is_empty() && thought.encrypted.is_empty();
        details.retain(|(thought, _)| {
            !(bare(thought) && of_calls.contains(&thought.signature))
                && *thought != Thought::default()
        });
        let (after, mut before): (Vec<_>, Vec<_>) =
            details.into_iter().partition(|(it, _)| it.origin == Some(Dialect::Gemini) && bare(it));
        // Without texts of their own, what is signed is all there is.
        let texts = before.iter().any(|(thought, _)| !thought.text.is_empty());
        if !texts && !text.is_empty() {
            match before.iter_mut().find(|(thought, _)| !thought.signature.is_empty()) {
                Some((thought, _)) => thought.text = text,
                None => {
                    let thought = Thought { text, ..Thought::default() };
                    before.insert(0, (thought, inner(path, "reasoning_content")));
                }
            }
        }
        let part = |(thought, path)| Part::new(PartKind::Reasoning(thought), path);
        (before.into_iter().map(part).collect(), after.into_iter().map(part).collect())
    }
}

/// A signature that stands with a call.
pub(super) fn of_call(signature: String, path: &str) -> Part {
    let origin = Some(Dialect::Gemini);
    let thought = Thought { signature, origin, ..Thought::default() };
    let path = format!("{path}.extra_content.google.thought_signature");
    Part::new(PartKind::Reasoning(thought), path)
}

fn detail(raw: &RawValue, path: &str) -> Result<Thought, BadRequest> {
    let mut members = Members::of(raw, path)?;
    let format = members.string("format", path)?;
    let mut text = members.string("text", path)?.unwrap_or_default();
    text += &members.string("summary", path)?.unwrap_or_default();
    let signature = members.string("signature", path)?.unwrap_or_default();
    let encrypted = members.string("data", path)?.unwrap_or_default();
    let closed = !(signature.is_empty() && encrypted.is_empty());
    let id = members.string("id", path)?;
    Ok(Thought {
        origin: closed.then(|| origin(format.as_deref())),
        text,
        signature,
        encrypted,
        id,
    })
}
