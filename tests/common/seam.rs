//! An answer on the provider's side of the gateway, against the same answer on the app's.

use std::fmt::Debug;

use tokenway::{
    dialect::{Sealed, unseal},
    event::Usage,
};

use super::{
    folded::{Choice, Folded, arguments},
    losses::Member,
};

/// What the app was told otherwise than the provider said. Native words are the provider's own, and so is its exact
/// usage object: they need not survive.
pub(crate) fn seam(said: &Folded, told: &Folded) -> Vec<(Member, String)> {
    let mut found = Vec::new();
    let (ours, theirs) = (said.first(), told.first());
    let (signatures, encrypted) = opaque(&theirs);
    // Where there is no place for them, the words of a refusal are text, and the end says what they were.
    let as_text = !ours.refusal.is_empty() && theirs.refusal.is_empty();
    let text = if as_text { ours.text.clone() + &ours.refusal } else { ours.text.clone() };
    same(&mut found, Member::Text, &text, &theirs.text);
    same(&mut found, Member::Reasoning, &ours.reasoning, &theirs.reasoning);
    same(&mut found, Member::Signatures, &opaque(&ours).0, &signatures);
    same(&mut found, Member::Encrypted, &opaque(&ours).1, &encrypted);
    same(&mut found, Member::Refusal, &ours.refusal, &theirs.refusal);
    // Arguments that a token limit cut, or free text.
    let unparsed = |call: &super::Call| arguments(&call.arguments).is_string();
    let no_json = ours.calls.iter().any(unparsed);
    let member = if no_json { Member::UnparsedCalls } else { Member::ToolCalls };
    same(&mut found, member, &calls(&ours), &calls(&theirs));
    if found.iter().any(|it| it.0 == Member::UnparsedCalls)
        && matches!((&said.end, &told.end), (Some(Ok(_)), Some(Err(_))))
    {
        return found;
    }
    let others = |folded: &Folded| -> Vec<_> {
        let choice = |choice: &Choice| {
            let end = choice.finished.as_ref().map(|end| end.reason);
            (choice.text.clone(), choice.reasoning.clone(), calls(choice), end)
        };
        folded.choices.values().skip(1).map(choice).collect()
    };
    same(&mut found, Member::OtherChoices, &others(said), &others(told));
    same(&mut found, Member::Citations, &said.citations, &told.citations);
    same(&mut found, Member::Images, &said.images, &told.images);
    let natives = |folded: &Folded| folded.natives.len() + folded.first().server_calls.len();
    same(&mut found, Member::Natives, &natives(said), &natives(told));

    match (&said.end, &told.end) {
        (Some(Err(ours)), Some(Err(theirs))) => {
            same(&mut found, Member::Error, &ours.message, &theirs.message);
            // Usage precedes the failure in the log; an app's stream has no place for it.
            return found;
        }
        (Some(Ok(end)), Some(Ok(_))) => {
            let reason = |choice: &Choice| choice.finished.as_ref().map(|end| end.reason);
            let member = if as_text { Member::Refusal } else { Member::Finish(end.reason) };
            same(&mut found, member, &reason(&ours), &reason(&theirs));
        }
        (ours, theirs) => same(&mut found, Member::Error, ours, theirs),
    }
    let (Some(ours), Some(theirs)) = (&said.usage, &told.usage) else {
        same(&mut found, Member::NoUsage, &said.usage.is_some(), &told.usage.is_some());
        return found;
    };
    // One provider tells of more from its cache than there was.
    let cached = |usage: &Usage| usage.cached_input.min(usage.input);
    let total = |usage: &Usage| (usage.input, usage.output);
    same(&mut found, Member::Usage, &total(ours), &total(theirs));
    same(&mut found, Member::CachedInput, &cached(ours), &cached(theirs));
    same(&mut found, Member::CacheWrite, &ours.cache_write, &theirs.cache_write);
    same(&mut found, Member::ReasoningTokens, &ours.reasoning, &theirs.reasoning);
    found
}

fn same<T: PartialEq + Debug>(
    found: &mut Vec<(Member, String)>,
    member: Member,
    said: &T,
    told: &T,
) {
    if said != told {
        found.push((member, format!("{}: said {said:?}, told {told:?}", member.title())));
    }
}

/// Signatures, and what is encrypted; an app of another dialect may have one slot for both, which holds a seal.
fn opaque(choice: &Choice) -> (Vec<String>, Vec<String>) {
    let (mut signatures, mut encrypted) = (Vec::new(), Vec::new());
    let all = choice.signatures.iter().map(|it| (Sealed::Signature, it));
    for (kind, text) in all.chain(choice.encrypted.iter().map(|it| (Sealed::Encrypted, it))) {
        let (kind, text) = match unseal(text) {
            Some((_, kind, content)) => (kind, content),
            None => (kind, text.clone()),
        };
        // A seal of nothing marks a thought that nobody signed.
        match kind {
            _ if text.is_empty() => {}
            Sealed::Signature => signatures.push(text),
            Sealed::Encrypted => encrypted.push(text),
        }
    }
    (signatures, encrypted)
}

fn calls(choice: &Choice) -> Vec<(String, String, serde_json::Value)> {
    let call =
        |call: &super::Call| (call.id.clone(), call.name.clone(), arguments(&call.arguments));
    choice.calls.iter().map(call).collect()
}
