//! A generation's events become one body: the answer, how it stands, or what the next turn begins with.

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    super::Asked,
    Encoder,
    output::{Item, Output},
};
use crate::event::{Event, Failed, FailureCode, Kind, Started};

/// The body for an app that asked without `stream`; a failed generation's failure, or one for a generation without an
/// end.
pub fn encode_whole<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    asked: &Asked,
) -> Result<Bytes, Failed> {
    let mut encoder = Encoder::new(asked);
    let mut ended = false;
    let failed = feed(&mut encoder, events, |event| ended |= event.is_terminal());
    match failed {
        Some(failed) => Err(failed),
        None if ended => Ok(body(&encoder)),
        None => Err(Failed::new(FailureCode::GatewayLost, "the generation has no end")),
    }
}

/// The response as it stands after these events, whether or not it has ended and however. One of which nothing has been
/// said but that it began, and that was asked for in the background, is `queued`.
pub fn snapshot<'a>(events: impl IntoIterator<Item = &'a Event>, asked: &Asked) -> Bytes {
    snapshot_of(Encoder::new(asked), events)
}

/// The same for a response that the app knows by an id of the provider's: see [`Encoder::of_response`].
pub fn snapshot_of<'a>(mut encoder: Encoder, events: impl IntoIterator<Item = &'a Event>) -> Bytes {
    let mut said = false;
    feed(&mut encoder, events, |event| {
        said |= !matches!(event.kind, Kind::Started(Started { .. }))
    });
    if !said && encoder.response.in_background() {
        encoder.response.status = "queued";
    }
    body(&encoder)
}

/// What a generation put out, as input items for the next turn. Ids are left out, because a provider would look for what
/// it did not keep; so are its own thoughts where it did not encrypt them, and calls that were cut.
pub fn items_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Box<RawValue>> {
    named_items_of(events).into_iter().map(|(_, item)| item).collect()
}

/// The same, each with the id under which the app was told it; an empty one where it has none of ours.
pub fn named_items_of<'a>(
    events: impl IntoIterator<Item = &'a Event>,
) -> Vec<(String, Box<RawValue>)> {
    let mut encoder = Encoder::new(&Asked::default());
    feed(&mut encoder, events, |_| {});
    let own = encoder.response.own();
    let item =
        |output: &Output| match output {
            Output::Raw(raw) => Some((String::new(), raw.clone())),
            Output::Item(Item::Message { content, .. }) if content.is_empty() => None,
            Output::Item(Item::Reasoning { encrypted_content: None, .. }) if own => None,
            Output::Item(
                Item::FunctionCall { status, .. } | Item::CustomToolCall { status, .. },
            ) if *status != "completed" => None,
            Output::Item(item) => {
                let mut value = serde_json::to_value(item).ok()?;
                let members = value.as_object_mut()?;
                if !matches!(item, Item::ImageGenerationCall { .. }) {
                    members.shift_remove("id");
                    members.shift_remove("status");
                }
                Some((item.id().to_owned(), to_raw_value(&value).ok()?))
            }
        };
    encoder.response.output.iter().filter_map(item).collect()
}

/// Gives an encoder all events and drops what they say; the failure, where there is one.
fn feed<'a>(
    encoder: &mut Encoder,
    events: impl IntoIterator<Item = &'a Event>,
    mut seen: impl FnMut(&Event),
) -> Option<Failed> {
    let mut out = Vec::new();
    for event in events {
        seen(event);
        encoder.encode(event, &mut out);
        out.clear();
        if let Kind::Failed(failed) = &event.kind {
            return Some(failed.clone());
        }
    }
    None
}

fn body(encoder: &Encoder) -> Bytes {
    serde_json::to_vec(&encoder.response).expect("strings and numbers become JSON").into()
}
