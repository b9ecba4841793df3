//! Whose an answer is that a provider keeps: a call that passes through reaches no answer of another owner's.
//!
//! A provider knows one key, the gateway's, and tells whoever has it. So a path that names an answer is looked at here, whatever
//! its method and however it is written; lists of answers are everybody's, and for nobody where there are several keys. What
//! else providers keep (files, conversations) they keep for all.

use axum::http::{Method, StatusCode};

use super::{
    App,
    access::{Caller, forbidden},
    problem::Problem,
    told::{self, Known},
};

/// What follows `responses/` and is no response's id.
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
}

/// Lets a call pass whose path, in its plainest form, names no answer of another owner's.
pub(super) async fn check(
    app: &App,
    caller: &Caller,
    method: &Method,
    plain: &str,
) -> Result<(), Problem> {
    let several = caller.who.access_key().is_some() && app.access.keys().len() > 1;
    match named(plain) {
        Named::All if several && method.is_safe() => Err(forbidden(
            "a provider lists what all keys of this gateway have stored: ask for one, by its id",
        )),
        Named::Nothing | Named::All => Ok(()),
        Named::One(id) => one(app, caller, id).await,
    }
}

async fn one(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let owner = &caller.owner;
    match told::find(app, owner, id).await? {
        Known::Found(_) => return Ok(()),
        Known::Withheld => return Err(none(id)),
        Known::Nothing => {}
    }
    let is_anothers = app.index().is_anothers(owner, id) || app.responses().is_anothers(owner, id);
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
                Some(verb) if VERBS.contains(&verb) => Named::Nothing,
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
            ("/v1/responses/compact", Named::Nothing),
            ("/v1/responses/input_tokens", Named::Nothing),
            ("/v1/completions", Named::Nothing),
            ("/v1/files/f_1", Named::Nothing),
            ("/v1/models/chat", Named::Nothing),
        ] {
            assert_eq!(named(path), expected, "{path}");
        }
    }
}
