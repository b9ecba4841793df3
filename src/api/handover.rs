//! A call as one gateway hands it to another: left for whoever goes on with it, should this one be lost while it runs, and given to
//! the one that writes its channel, where that has another generation running there.
//!
//! A line of JSON, and behind it the app's body as it came: the prompt, which is why it is only left where the model has
//! `on_break: continue`, at a store that gateways share, and only as long as the generation runs. No key is in it: whoever takes
//! it calls its own providers, on the account of the key with the same name.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::{
    App,
    access::Caller,
    call::{self, Asking, misunderstood},
    form::Form,
    headers, limits,
    problem::Problem,
};
use crate::{
    channel::{AppendError, Channel, Orphan},
    dialect::{AppDialect, AppRequest},
    generation::{Launched, Order},
    ident::GenerationId,
    sequence::Cursor,
    store::{Begun, Refusal},
};

/// All that is known of a call beside its body.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    dialect: String,
    /// For dialects that have these two in the path.
    model: String,
    streams: bool,
    /// The name of the access key; empty where there are none.
    key: String,
    detached: bool,
    /// What any provider is told of the app's headers.
    headers: Vec<(String, String)>,
}

/// A call, as it is left.
pub(super) fn write(
    caller: &Caller,
    headers: &HeaderMap,
    request: &AppRequest,
    detached: bool,
) -> Option<Bytes> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let head = Head {
        dialect: request.dialect().as_str().to_owned(),
        model: request.model().to_owned(),
        streams: request.streams(),
        key: caller.owner.as_str().to_owned(),
        detached,
        headers: headers::upstream(headers).iter().filter_map(text).collect(),
    };
    let mut out = serde_json::to_vec(&head).ok()?;
    out.push(b'\n');
    out.extend_from_slice(&request.asked().request);
    Some(out.into())
}

fn read(mut handover: Bytes) -> Option<(Head, Bytes)> {
    let end = memchr::memchr(b'\n', &handover)?;
    let head = serde_json::from_slice(&handover[..end]).ok()?;
    handover.advance(end + 1);
    Some((head, handover))
}

/// Goes on with a generation whose gateway was lost; where that cannot be, it ends.
pub(crate) fn go_on(app: &App, orphan: Orphan) {
    let channel = Arc::clone(orphan.producer.channel());
    let (key, generation) = (channel.key().clone(), orphan.started.id.clone());
    let id = &key.id;
    let why = match order(app, &channel, &orphan.handover) {
        Ok(order) => match app.generations.go_on(order, orphan) {
            Ok(()) => {
                return tracing::info!(channel = %id, generation, "goes on with what a lost gateway ran");
            }
            Err(error) => error.to_string(),
        },
        // Its words may quote the call.
        Err(problem) => problem.code.to_owned(),
    };
    tracing::warn!(channel = %id, generation, why, "what a lost gateway ran ends: gateway_lost");
    app.channels.withdraw(key, GenerationId::claimed(&generation));
}

/// Begins a generation that another gateway was asked for.
pub(crate) fn begin(app: &App, channel: &Arc<Channel>, call: Bytes) -> Result<Begun, Refusal> {
    let order = order(app, channel, &call).map_err(|problem| {
        let code = problem.code;
        tracing::info!(channel = %channel.key().id, code, "a call of another gateway's is refused");
        match problem.status {
            StatusCode::TOO_MANY_REQUESTS => Refusal::Limited,
            _ => Refusal::NotBegun,
        }
    })?;
    // Its caller is answered from the channel, and counts as somebody who looks on.
    let Launched { id, traceparent, index, first_seq, .. } =
        app.generations.launch(order).map_err(|error| match error {
            AppendError::Closed => Refusal::Closed,
            AppendError::Full { .. } | AppendError::TooManyGenerations => Refusal::Full,
            AppendError::TooLarge(_) => Refusal::TooLarge,
            AppendError::Store(_) => Refusal::Store,
        })?;
    let cursor = Cursor { epoch: channel.epoch(), seq: first_seq };
    Ok(Begun { generation: id, index, cursor, traceparent })
}

/// The call anew: as this gateway's config has it, on the account of the same key.
fn order(app: &App, channel: &Arc<Channel>, handover: &Bytes) -> Result<Order, Problem> {
    let unreadable = || Problem::bad_request("what another gateway left cannot be read");
    let (head, body) = read(handover.clone()).ok_or_else(unreadable)?;
    let caller = Caller::named(app, &head.key)?;
    if caller.owner != channel.key().owner {
        return Err(unreadable());
    }
    let mut room = app.seats.body(caller.who.app().cloned());
    if !room.take(body.len()) {
        return Err(limits::full("requests take all the memory that they may (limits.bodies)"));
    }
    let dialect = AppDialect::ALL.into_iter().find(|it| it.as_str() == head.dialect);
    let dialect = dialect.ok_or_else(unreadable)?;
    let request = AppRequest::read(dialect, &head.model, head.streams, body);
    let request = request.map_err(|error| misunderstood(&error))?;
    let asking = Asking::new(request, Form::events(dialect, false), room);
    let asking = Asking { handed_over: true, ..asking };
    let header = |(name, value): &(String, String)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    let headers: HeaderMap = head.headers.iter().filter_map(header).collect();
    let mut call = call::understand(app, &caller, &headers, asking)?;
    (call.detached, call.handover) = (head.detached, Some(handover.clone()));
    let account = limits::open(app, &caller, &call)?;
    Ok(call::order(app, &caller, &call, Arc::clone(channel), account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access, ident::Owner};

    #[test]
    fn what_is_left_holds_the_call_and_no_key() {
        let body = Bytes::from_static(br#"{"model":"m","stream":true,"messages":[]}"#);
        let request = AppRequest::read(AppDialect::OpenAi, "", false, body.clone());
        let headers = [
            ("authorization", "Bearer secret"),
            ("x-api-key", "secret"),
            ("tokenway-token", "secret"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("openai-organization", "org"),
        ];
        let headers = headers
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers = headers.into_iter().collect();
        let caller = Caller { owner: Owner::default(), who: access::Caller::Anybody };
        let left = write(&caller, &headers, &request.expect("a call"), true).expect("left");
        assert!(!String::from_utf8_lossy(&left).contains("secret"));
        let (head, told) = read(left).expect("it can be read");
        assert_eq!(told, body);
        assert_eq!((head.dialect.as_str(), head.model.as_str()), ("openai", "m"));
        assert!(head.streams && head.detached && head.key.is_empty());
        let has = |name: &str| head.headers.iter().any(|(it, _)| it == name);
        assert!(has("traceparent") && has("openai-organization"));
        assert!(read(Bytes::from_static(b"{}")).is_none() && read(Bytes::new()).is_none());
    }
}
