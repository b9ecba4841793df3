//! What calls that pass to a provider take of their key's limits: nothing, their input by an estimate, or what nobody can
//! count here, which a key with a budget or a limit of tokens may not have.
//!
//! They are no generations, and yet take a place among them while they run, since providers are paid for both.

use axum::http::{Method, header};

use super::{
    App,
    access::{Caller, forbidden},
    limits,
    passthrough::{Carried, Passing},
    problem::Problem,
};
use crate::{
    access::{self, Asked, Running, Turn},
    event::Usage,
    generation::estimated_tokens,
};

/// What a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Providers ask nothing for it.
    Nothing,
    /// The tokens of its body.
    Input,
    /// Tokens, seconds, pages or pictures that only the provider counts.
    Unknown,
}

/// A passing call's places: its key's and, where it need not wait for its body, one among all that run.
pub(super) struct Paying {
    running: Option<Running>,
    _turn: Option<Turn>,
}

impl Paying {
    /// The provider answers it. Gives what is held to the end of the answer.
    pub(super) fn taken(self) -> Option<Running> {
        self.running
    }

    /// The provider refused it, or it never got there: it costs nothing.
    pub(super) fn refused(mut self) {
        if let Some(running) = &mut self.running {
            running.used(Asked::default());
        }
    }
}

/// Finds a place for a call that costs something, or says why it gets none.
pub(super) fn pay(
    app: &App,
    caller: &Caller,
    called: &str,
    takes: Takes,
    passing: &Passing,
) -> Result<Option<Paying>, Problem> {
    if takes == Takes::Nothing {
        return Ok(None);
    }
    let key = caller.who.access_key();
    let asked = match key {
        Some(key) if key.meter.needs_estimate() => estimate(key, called, takes, passing)?,
        _ => Asked::default(),
    };
    // A body that comes as it likes does not keep a place from others meanwhile.
    let turn = match passing.body {
        Carried::Whole(..) => Some(limits::turn(app)?),
        Carried::AsItComes(_) => None,
    };
    let mut running = key.map(|key| limits::begin(app, key, asked)).transpose()?;
    if let Some(running) = &mut running {
        // Also if whoever asked is gone before the answer comes.
        running.used(asked);
    }
    Ok(Some(Paying { running, _turn: turn }))
}

/// What a call takes of a key that has to count: nothing of its text is left out, for whatever it is, the provider reads it.
fn estimate(
    key: &access::Key,
    called: &str,
    takes: Takes,
    passing: &Passing,
) -> Result<Asked, Problem> {
    let Passing { parts, body, price, .. } = passing;
    let packed = parts.headers.contains_key(header::CONTENT_ENCODING);
    let (Takes::Input, Carried::Whole(body, _), false) = (takes, body, packed) else {
        let method = &parts.method;
        return Err(forbidden(format!(
            "this access key has a budget or a limit of tokens, and what {method} {called} takes cannot be counted here"
        )));
    };
    let tokens = estimated_tokens(body.len() as u64);
    let usage = Usage { input: tokens, ..Usage::default() };
    match price {
        Some(price) => Ok(Asked { tokens, cost: price.cost(&usage) }),
        None if key.meter.needs_prices() => Err(limits::unpriced(None)),
        None => Ok(Asked { tokens, cost: 0.0 }),
    }
}

/// What a call takes, by its path as it came and as others may read it.
pub(super) fn takes(method: &Method, called: &str, plain: &str) -> Takes {
    if method.is_safe() || *method == Method::DELETE {
        return Takes::Nothing;
    }
    if called != plain {
        return Takes::Unknown;
    }
    let segments: Vec<_> = plain.split('/').skip(2).collect();
    match segments[..] {
        ["files" | "uploads" | "conversations", ..] => Takes::Nothing,
        ["batches" | "responses", _, "cancel"] => Takes::Nothing,
        ["messages", "batches", _, "cancel"] | ["fine_tuning", "jobs", _, "cancel"] => {
            Takes::Nothing
        }
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
    fn what_a_call_takes_is_told_by_its_path() {
        for (path, expected) in [
            ("/v1/embeddings", Takes::Input),
            ("/v1beta/models/a/b:embedContent", Takes::Input),
            ("/v1beta/models/m:countTokens", Takes::Nothing),
            ("/v1/messages/count_tokens", Takes::Nothing),
            ("/v1/batches/b_1/cancel", Takes::Nothing),
            ("/v1/images/generations/cancel", Takes::Unknown),
            ("/v1/files", Takes::Nothing),
            ("/v1/completions", Takes::Unknown),
            ("/v1/batches", Takes::Unknown),
            ("/v1/messages/batches", Takes::Unknown),
            ("/v1/responses/compact", Takes::Unknown),
            ("/v1beta/openai/chat/completions", Takes::Unknown),
            ("/v1beta/models/m:batchGenerateContent", Takes::Unknown),
            ("/v1/images/generations", Takes::Unknown),
        ] {
            assert_eq!(takes(&Method::POST, path, path), expected, "{path}");
            assert_eq!(takes(&Method::GET, path, path), Takes::Nothing, "{path}");
        }
        let strange = takes(&Method::POST, "/v1/files/a%20b", "/v1/files/a b");
        assert_eq!(strange, Takes::Unknown, "what may be read in two ways is not known");
    }
}
