//! What calls that pass to a provider take of their key's limits: nothing, their input by an estimate, or what nobody can
//! count here, which a key with a budget or a limit of tokens may not have.
//!
//! They are no generations, and yet take a place among them while they run, since providers are paid for both.

use axum::http::{Method, StatusCode};

use super::{
    App,
    access::{self, Caller},
    by_model, limits, llm,
    passthrough::{Carried, Passing},
    problem::Problem,
};
use crate::{
    access::{Asked, Running, Turn},
    event::Usage,
    generation::estimated_input,
};

/// What a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Providers ask nothing for it.
    Nothing,
    /// The tokens of its body.
    Input,
    /// Tokens, seconds, pages or pictures that only the provider counts.
    Unknown,
}

/// A passing call's place, until it is dropped with the end of its answer.
pub(super) struct Paying {
    running: Option<Running>,
    asked: Asked,
    _turn: Turn,
}

impl Paying {
    /// The provider took the call.
    pub(super) fn taken(&mut self) {
        if let Some(running) = &mut self.running {
            running.used(self.asked);
        }
    }
}

/// Refuses a path that a provider may read as one that is counted here, and that is written so that it is not.
pub(super) fn plainly(method: &Method, path: &str) -> Result<(), Problem> {
    let plain = plain(path);
    let is_hidden = llm::is_generation(&plain) || (plain != path && by_model::names_model(&plain));
    match *method == Method::POST && is_hidden {
        true => {
            let message = format!("no such route: {method} {path}; write it as {plain}");
            Err(Problem::new(StatusCode::NOT_FOUND, "not_found", message))
        }
        false => Ok(()),
    }
}

/// Finds a place for a call that costs something, or says why it gets none.
pub(super) fn pay(
    app: &App,
    caller: &Caller,
    called: &str,
    passing: &Passing,
) -> Result<Option<Paying>, Problem> {
    let method = &passing.parts.method;
    let takes = takes(method, &plain(called));
    if takes == Takes::Nothing {
        return Ok(None);
    }
    let key = caller.who.access_key();
    let asked = match (key.is_some_and(|key| key.meter.needs_estimate()), takes, &passing.body) {
        (false, ..) => Asked::default(),
        (true, Takes::Input, Carried::Whole(body, _)) => {
            let input = estimated_input(body);
            let usage = Usage { input, ..Usage::default() };
            let cost = passing.price.map_or(0.0, |price| price.cost(&usage));
            Asked { tokens: input, cost }
        }
        (true, ..) => {
            return Err(access::forbidden(format!(
                "this access key has a budget or a limit of tokens, and what {method} {called} takes cannot be counted \
                 here"
            )));
        }
    };
    let turn = limits::turn(app)?;
    let running = key.map(|key| limits::begin(app, key, asked)).transpose()?;
    Ok(Some(Paying { running, asked, _turn: turn }))
}

/// A path as the most lenient reader may take it: decoded as often as it is encoded, with single slashes.
fn plain(path: &str) -> String {
    let mut plain = path.to_owned();
    loop {
        let decoded = llm::decoded(&plain);
        if decoded == plain {
            break;
        }
        plain = decoded;
    }
    let segments = plain.split(['/', '\\']).filter(|segment| !segment.is_empty());
    segments.flat_map(|segment| ["/", segment]).collect()
}

fn takes(method: &Method, plain: &str) -> Takes {
    if method.is_safe() || *method == Method::DELETE {
        return Takes::Nothing;
    }
    let segments: Vec<_> = plain.split('/').skip(2).collect();
    match segments[..] {
        [.., "cancel"] | ["files" | "uploads" | "conversations", ..] => Takes::Nothing,
        ["messages", "count_tokens"] | ["responses", "input_tokens"] => Takes::Nothing,
        // Notes on a completion that is kept.
        ["chat", "completions", _] => Takes::Nothing,
        ["embeddings" | "moderations" | "rerank"] => Takes::Input,
        ["models", .., last] => match last.rsplit_once(':') {
            Some((_, "countTokens")) => Takes::Nothing,
            Some((_, "embedContent" | "batchEmbedContents")) => Takes::Input,
            _ => Takes::Unknown,
        },
        _ => Takes::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generations_path_is_found_however_it_is_written() {
        for path in [
            "/v1/chat/%63ompletions",
            "/v1/chat/%2563ompletions",
            "/v1//chat/completions",
            "/v1/chat/completions/",
            "/v1/chat%2Fcompletions",
            "/v1/chat\\completions",
            "/v1//messages",
            "/v1beta//models/m:generateContent",
            "/v1/%65mbeddings",
            "/v1/embeddings/",
        ] {
            let refused = plainly(&Method::POST, path).expect_err(path);
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
            assert!(plainly(&Method::GET, path).is_ok(), "{path}");
        }
        for path in ["/v1/embeddings", "/v1/files/a%20b", "/v1/completions", "/v1/batches"] {
            assert!(plainly(&Method::POST, path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_a_call_takes_is_told_by_its_path() {
        for (path, expected) in [
            ("/v1/embeddings", Takes::Input),
            ("/v1beta/models/a/b:embedContent", Takes::Input),
            ("/v1beta/models/m:countTokens", Takes::Nothing),
            ("/v1/messages/count_tokens", Takes::Nothing),
            ("/v1/batches/b_1/cancel", Takes::Nothing),
            ("/v1/files", Takes::Nothing),
            ("/v1/completions", Takes::Unknown),
            ("/v1/batches", Takes::Unknown),
            ("/v1/messages/batches", Takes::Unknown),
            ("/v1/responses/compact", Takes::Unknown),
            ("/v1beta/openai/chat/completions", Takes::Unknown),
            ("/v1beta/models/m:batchGenerateContent", Takes::Unknown),
            ("/v1/images/generations", Takes::Unknown),
        ] {
            assert_eq!(takes(&Method::POST, path), expected, "{path}");
            assert_eq!(takes(&Method::GET, path), Takes::Nothing, "{path}");
        }
    }
}
