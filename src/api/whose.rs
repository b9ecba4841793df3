//! Whose an answer is that a provider keeps: a call that passes through reaches no answer of another owner's.
//!
//! A provider knows one key, the gateway's, and tells whoever has it. So a path that names an answer is looked at here, whatever
//! its method and however it is written, and so is a body that goes on from one; lists of answers are everybody's, and for nobody
//! where there are several keys. What else providers keep (files, conversations, batches, items by themselves) they keep for all.

use axum::http::{Method, StatusCode, header};
use serde::Deserialize;

use super::{
    App,
    access::{self, Caller, forbidden},
    passthrough::{Carried, Passing},
    problem::Problem,
    told::{self, Known},
};

/// What follows `responses/` and is no response's id: calls that may go on from one.
const VERBS: [&str; 2] = ["compact", "input_tokens"];

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Named<'a> {
    /// Nothing of this kind.
    Nothing,
    /// All answers that the provider keeps.
    All,
    /// The answer of this id.
    One(&'a str),
    /// The answer that its body goes on from, if it does.
    Before,
}

/// The id of the answer that a call reaches: by its path in its plainest form, or by its body. Err: it would reach those of all.
pub(super) fn reached(
    app: &App,
    caller: &Caller,
    passing: &Passing,
    plain: &str,
) -> Result<Option<String>, Problem> {
    let several = caller.who.access_key().is_some() && app.access.keys().len() > 1;
    let Passing { provider, parts, body, .. } = passing;
    match named(plain) {
        Named::One(id) => Ok(Some(id.to_owned())),
        // With a key of its own an app is told what is its own.
        Named::All
            if several
                && parts.method.is_safe()
                && !access::brings(app, provider, &parts.headers) =>
        {
            Err(forbidden(
                "a provider lists what all keys of this gateway have stored: ask for one, by its id",
            ))
        }
        Named::Before if parts.method == Method::POST => {
            match before(body, parts.headers.contains_key(header::CONTENT_ENCODING)) {
                // There is nobody else's to reach.
                Err(_) if !several => Ok(None),
                before => before,
            }
        }
        Named::Nothing | Named::All | Named::Before => Ok(None),
    }
}

/// The response that a body goes on from. Err: that cannot be told.
fn before(body: &Carried, packed: bool) -> Result<Option<String>, Problem> {
    #[derive(Deserialize)]
    struct Body {
        previous_response_id: Option<String>,
    }
    let unreadable = || Problem::bad_request("the body must be a JSON object, not packed");
    match body {
        Carried::Whole(body, _) if !packed => serde_json::from_slice(body)
            .map(|Body { previous_response_id }| previous_response_id)
            .map_err(|_| unreadable()),
        Carried::Whole(..) | Carried::AsItComes(_) => Err(unreadable()),
    }
}

/// Refuses an answer that is not the caller's, as far as is known here.
pub(super) async fn check(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let owner = &caller.owner;
    match told::find(app, owner, id).await? {
        Known::Found(_) => return Ok(()),
        Known::Withheld => return Err(none(id)),
        Known::Nothing => {}
    }
    let is_anothers = app.index().is_anothers(owner, id) || {
        let responses = app.responses();
        responses.is_anothers(owner, id) || responses.is_deleted(owner, id)
    };
    if is_anothers { Err(none(id)) } else { Ok(()) }
}

fn none(id: &str) -> Problem {
    let message = format!("there is no answer `{id}` here, or not any more");
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

fn named(plain: &str) -> Named<'_> {
    // To some, what stands after these is no part of a segment's name.
    let names = plain.split('/').map(|it| it.split([';', '?', '#']).next().unwrap_or_default());
    let mut names = names.filter(|name| !name.is_empty());
    let is = |name: &str, word: &str| name.eq_ignore_ascii_case(word);
    let mut before = "";
    while let Some(name) = names.next() {
        let answers = is(name, "responses") || (is(before, "chat") && is(name, "completions"));
        if answers {
            return match names.next() {
                None => Named::All,
                Some(verb) if VERBS.iter().any(|it| is(it, verb)) => Named::Before,
                Some(id) => Named::One(id),
            };
        }
        before = name;
    }
    Named::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_in_a_path() {
        for (path, expected) in [
            ("/v1/chat/completions/c_1", Named::One("c_1")),
            ("/v1/chat/completions/c_1/messages", Named::One("c_1")),
            ("/v1/Chat/Completions/c_1;a=b", Named::One("c_1")),
            ("/v1/responses/resp_1", Named::One("resp_1")),
            ("/v1/responses/resp_1/input_items", Named::One("resp_1")),
            ("/v1beta/openai/chat/completions/c_1", Named::One("c_1")),
            ("/v1/chat/completions", Named::All),
            ("/v1/responses", Named::All),
            ("/v1/responses/compact", Named::Before),
            ("/v1/responses/input_tokens", Named::Before),
            ("/v1/responses/Compact", Named::Before),
            ("/v1/completions", Named::Nothing),
            ("/v1/files/f_1", Named::Nothing),
            ("/v1/models/chat", Named::Nothing),
        ] {
            assert_eq!(named(path), expected, "{path}");
        }
    }
}
