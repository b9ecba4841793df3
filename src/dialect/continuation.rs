//! Writes the call that goes on from the text so far, when a provider broke in the middle of its answer.
//!
//! Where the target takes the beginning of its own turn (a prefill), the text so far is that. Everywhere else it is an
//! earlier turn of the model's, and a turn of the user's says to go on from it. Between like and like the conversation is
//! added to in place, so that every other byte of the app's goes on as it came; else the call is written anew.
//!
//! What was thought is not said again: nobody but its maker can read it. An answer in a given form (JSON) is not gone on
//! with, since a model that is held to the form begins it anew; nor are several choices.

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    AppRequest, BadRequest, Call, Dialect, Streaming, Upstream, anthropic,
    body::Body,
    call::{Amount, Output, Part, PartKind, ReasoningWish, Role},
    openai,
};

/// What the model is told where it takes no prefill.
const INSTRUCTION: &str = "Your answer above was cut off by a broken connection. Go on exactly where it stopped: begin \
                           with the very next characters, repeat nothing of it, add no introduction, and do not mention \
                           the interruption.";

/// What the parts that are added are called where they cannot be said.
const PATH: &str = "(the answer so far)";

/// About what a token has, where the tokens that are left must be told.
const BYTES_PER_TOKEN: usize = 4;

/// How a continuation is joined to the text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// The text is the beginning of the model's own turn, without the white space at its end, which providers refuse.
    Prefill,
    /// The model is told to go on.
    Instruction,
}

/// A call that goes on.
#[derive(Clone, Debug)]
pub struct Continuation {
    /// As it goes to the target.
    pub upstream: Upstream,
    /// How its answer is joined.
    pub joint: Joint,
}

impl AppRequest {
    /// The call that goes on from `said`, the text so far, at a provider that speaks `target`; it is streamed. `prefill`:
    /// a prefill may be used, where the target is known to take one.
    pub fn continued(
        &self,
        said: &str,
        target: Dialect,
        model: &str,
        prefill: bool,
    ) -> Result<Continuation, BadRequest> {
        let like = target == Dialect::from(self.dialect());
        let in_place = match self {
            Self::OpenAi(request) if like => Some(request.asked().request),
            Self::Anthropic(request) if like => Some(request.asked().request),
            _ => None,
        };
        let Some(bytes) = in_place else {
            let mut call = self.call()?;
            let prefill = prefill && takes_prefill(target, model, call.reasoning.as_ref());
            let joint = join(&mut call, said, prefill)?;
            return Ok(Continuation { upstream: target.write(&call, model)?, joint });
        };
        let body = Body::read(bytes)?;
        let shape: Shape<'_> = serde_json::from_slice(body.bytes())
            .map_err(|_| BadRequest::of("messages", "the call cannot be gone on with"))?;
        shape.check()?;
        let joint = joint(prefill && takes_prefill(target, model, shape.thinking().as_ref()));
        let body = shape.extend(&body, said, joint);
        let upstream = match self {
            Self::Anthropic(_) => {
                anthropic::Request::read(body)?.upstream(model, Streaming::Always)
            }
            _ => openai::Request::read(body)?.upstream(model, Streaming::Always),
        };
        Ok(Continuation { upstream, joint })
    }
}

/// Whether a target takes a prefill. Claude does, unless it thinks; of its newer models some do not, and say so (400).
fn takes_prefill(target: Dialect, model: &str, thinking: Option<&ReasoningWish>) -> bool {
    let claude = match target {
        Dialect::Anthropic => true,
        Dialect::Bedrock => model.contains("anthropic.claude"),
        _ => false,
    };
    let thinks = thinking.is_some_and(|wish| wish.amount != Some(Amount::Off));
    claude && !thinks
}

fn joint(prefill: bool) -> Joint {
    if prefill { Joint::Prefill } else { Joint::Instruction }
}

/// Adds the text so far to a call.
fn join(call: &mut Call, said: &str, prefill: bool) -> Result<Joint, BadRequest> {
    check(call.choices, matches!(call.output, Output::Text))?;
    let joint = joint(prefill);
    let text = |text: &str| Part::new(PartKind::Text(text.to_owned()), PATH);
    match joint {
        Joint::Prefill => call.say(Role::Assistant, text(said.trim_end())),
        Joint::Instruction => {
            call.say(Role::Assistant, text(said));
            call.say(Role::User, text(INSTRUCTION));
        }
    }
    // A budget for thoughts is part of the whole and must stay below it.
    if call.reasoning.is_none() {
        call.max_output = call.max_output.map(|most| left(most, said));
    }
    Ok(joint)
}

/// How many of the tokens are left after what was said.
fn left(most: u64, said: &str) -> u64 {
    most.saturating_sub((said.len() / BYTES_PER_TOKEN) as u64).max(1)
}

fn check(choices: Option<u32>, is_text: bool) -> Result<(), BadRequest> {
    if choices.is_some_and(|choices| choices > 1) {
        return Err(BadRequest::of("n", "several choices cannot be gone on with"));
    }
    match is_text {
        true => Ok(()),
        false => Err(BadRequest::of("response_format", "a form cannot be gone on with")),
    }
}

/// What must be known of a body with `messages` to add to it.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    n: Option<u32>,
    response_format: Option<Typed>,
    /// Anthropic's.
    #[serde(borrow)]
    output_format: Option<&'a RawValue>,
    output_config: Option<OutputConfig<'a>>,
    thinking: Option<Typed>,
    reasoning_effort: Option<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Typed {
    r#type: String,
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

impl Shape<'_> {
    fn check(&self) -> Result<(), BadRequest> {
        let free = self.response_format.as_ref().is_none_or(|format| format.r#type == "text");
        let config = self.output_config.as_ref().and_then(|config| config.format);
        let forms = [self.output_format, config];
        let formed = forms.into_iter().flatten().any(|format| format.get() != "null");
        check(self.n, free && !formed)
    }

    fn thinking(&self) -> Option<ReasoningWish> {
        let thinks = self.thinking.as_ref().is_some_and(|thinking| thinking.r#type != "disabled");
        (thinks || self.reasoning_effort.is_some()).then(ReasoningWish::default)
    }

    fn extend(&self, body: &Body, said: &str, joint: Joint) -> bytes::Bytes {
        let mut added = match joint {
            Joint::Prefill => vec![json!({ "role": "assistant", "content": said.trim_end() })],
            Joint::Instruction => vec![
                json!({ "role": "assistant", "content": said }),
                json!({ "role": "user", "content": INSTRUCTION }),
            ],
        };
        let before = self.messages.get().strip_suffix(']').unwrap_or("[").trim_end();
        let comma = if before.ends_with('[') { "" } else { "," };
        let added: Vec<String> = added.drain(..).map(|message| message.to_string()).collect();
        let messages = format!("{before}{comma}{}]", added.join(","));
        let mut edits = body.edit();
        edits.set(body.top(), "messages", &messages);
        if self.thinking().is_none() {
            let limits = [
                ("max_tokens", self.max_tokens),
                ("max_completion_tokens", self.max_completion_tokens),
            ];
            for (name, most) in limits {
                if let Some(most) = most {
                    edits.set(body.top(), name, &left(most, said).to_string());
                }
            }
        }
        edits.apply()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect::AppDialect;

    fn request(body: &'static str) -> AppRequest {
        AppRequest::OpenAi(
            openai::Request::read(Bytes::from_static(body.as_bytes())).expect("a request"),
        )
    }

    #[test]
    fn between_like_and_like_only_the_conversation_and_the_limit_change() {
        let request = request(
            r#"{"model":"fast","x":1.10,"messages": [ {"role":"user","content":"[]"} ],"max_tokens":10,"stream":true,"stream_options":{"include_usage":true}}"#,
        );
        let on = request.continued("Hello \"you\" ", Dialect::OpenAi, "m", true).expect("it can");
        assert_eq!(on.joint, Joint::Instruction);
        let body = String::from_utf8(on.upstream.body.to_vec()).expect("text");
        let instruction = serde_json::Value::from(INSTRUCTION);
        assert_eq!(
            body,
            format!(
                r#"{{"model":"m","x":1.10,"messages": [ {{"role":"user","content":"[]"}},{{"role":"assistant","content":"Hello \"you\" "}},{{"role":"user","content":{instruction}}}],"max_tokens":7,"stream":true,"stream_options":{{"include_usage":true}}}}"#
            )
        );
    }

    #[test]
    fn several_choices_and_forms_are_not_gone_on_with() {
        for (body, param) in [
            (r#"{"model":"m","messages":[],"n":2}"#, "n"),
            (
                r#"{"model":"m","messages":[],"response_format":{"type":"json_object"}}"#,
                "response_format",
            ),
        ] {
            let refused = request(body).continued("a", Dialect::OpenAi, "m", true);
            assert_eq!(refused.expect_err(body).param.as_deref(), Some(param));
        }
        let free = r#"{"model":"m","messages":[],"n":1,"response_format":{"type":"text"}}"#;
        assert!(request(free).continued("a", Dialect::OpenAi, "m", true).is_ok());
    }

    #[test]
    fn claude_is_given_the_beginning_of_its_turn_unless_it_thinks() {
        let wish = ReasoningWish::default();
        let off = ReasoningWish { amount: Some(Amount::Off), ..ReasoningWish::default() };
        for (target, model, thinking, takes) in [
            (Dialect::Anthropic, "claude-haiku-4-5", None, true),
            (Dialect::Anthropic, "claude-haiku-4-5", Some(&off), true),
            (Dialect::Anthropic, "claude-haiku-4-5", Some(&wish), false),
            (Dialect::Bedrock, "eu.anthropic.claude-haiku-4-5-v1:0", None, true),
            (Dialect::Bedrock, "amazon.nova-lite-v1:0", None, false),
            (Dialect::OpenAi, "gpt-5", None, false),
            (Dialect::Gemini, "gemini-2.5-flash", None, false),
        ] {
            assert_eq!(takes_prefill(target, model, thinking), takes, "{target:?} {model}");
        }
    }

    #[test]
    fn a_call_that_is_written_anew_has_the_text_so_far_in_it() {
        let user = Part::new(PartKind::Text("Tell me".into()), "messages[0].content");
        let mut call = Call::new(AppDialect::OpenAi);
        call.say(Role::User, user);
        call.max_output = Some(100);
        let text = |call: &Call, turn: usize| match &call.turns[turn].parts[0].kind {
            PartKind::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let mut prefilled = call.clone();
        assert_eq!(join(&mut prefilled, "Once upon \n", true), Ok(Joint::Prefill));
        assert_eq!((prefilled.turns.len(), text(&prefilled, 1)), (2, "Once upon".to_owned()));
        assert_eq!(prefilled.max_output, Some(98));
        assert_eq!(join(&mut call, "Once upon \n", false), Ok(Joint::Instruction));
        assert_eq!((call.turns.len(), text(&call, 1)), (3, "Once upon \n".to_owned()));
        assert_eq!(text(&call, 2), INSTRUCTION);
    }
}
