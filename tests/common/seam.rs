//! An answer on the provider's side of the gateway, against the same answer on the app's.

use std::fmt::Debug;

use tokenway::{dialect::unseal, event::Usage};

use super::{
    folded::{Choice, Folded, arguments},
    losses::Member,
};

/// What the app was told otherwise than the provider said. Native words are the provider's own, and so is its exact
/// usage object: they need not survive.
pub(crate) fn seam(said: &Folded, told: &Folded) -> Vec<(Member, String)> {
    let mut found = Vec::new();
    let (ours, theirs) = (said.first(), told.first());
    same(&mut found, Member::Text, &ours.text, &theirs.text);
    same(&mut found, Member::Reasoning, &ours.reasoning, &theirs.reasoning);
    same(&mut found, Member::Signatures, &opened(&ours.signatures), &opened(&theirs.signatures));
    same(&mut found, Member::Encrypted, &opened(&ours.encrypted), &opened(&theirs.encrypted));
    same(&mut found, Member::Refusal, &ours.refusal, &theirs.refusal);
    same(&mut found, Member::ToolCalls, &calls(&ours), &calls(&theirs));
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
            same(&mut found, Member::Finish(end.reason), &reason(&ours), &reason(&theirs));
        }
        (ours, theirs) => same(&mut found, Member::Error, ours, theirs),
    }
    let usage =
        |of: fn(&Usage) -> Vec<u64>| (said.usage.as_ref().map(of), told.usage.as_ref().map(of));
    let mut count = |member, (ours, theirs)| same(&mut found, member, &ours, &theirs);
    count(Member::Usage, usage(|usage| vec![usage.input, usage.output]));
    count(Member::CachedInput, usage(|usage| vec![usage.cached_input]));
    count(Member::CacheWrite, usage(|usage| vec![usage.cache_write]));
    count(Member::ReasoningTokens, usage(|usage| vec![usage.reasoning]));
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

/// What is in the seals that an app carries for another dialect.
fn opened(opaque: &[String]) -> Vec<String> {
    let open = |text: &String| unseal(text).map_or_else(|| text.clone(), |(_, _, content)| content);
    opaque.iter().map(open).collect()
}

fn calls(choice: &Choice) -> Vec<(String, String, serde_json::Value)> {
    let call =
        |call: &super::Call| (call.id.clone(), call.name.clone(), arguments(&call.arguments));
    choice.calls.iter().map(call).collect()
}
