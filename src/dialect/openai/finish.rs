//! Why a choice ended, in the one vocabulary.
//!
//! The provider's word decides, as it does in the official SDKs; a
//! `stop` that ends tool calls is the one that is read otherwise. A
//! refusal keeps its own text, and a call that was cut its unparsable arguments, so nothing is hidden by the word.

use crate::event::FinishReason;

/// What is known of a choice's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs<'a> {
    /// `finish_reason`.
    pub word: &'a str,
    pub called_tools: bool,
}

/// Why it ended; `None` is an error.
pub(super) fn reason(signs: Signs<'_>) -> Option<FinishReason> {
    match read(signs.word)? {
        FinishReason::Stop if signs.called_tools && !signs.word.is_empty() => {
            Some(FinishReason::ToolCalls)
        }
        reason => Some(reason),
    }
}

/// A provider's word alone. A word that nobody knows is a natural end; the word itself is kept beside it.
fn read(word: &str) -> Option<FinishReason> {
    Some(match word.to_ascii_lowercase().as_str() {
        "length"
        | "model_length"
        | "max_tokens"
        | "max_output_tokens"
        | "max_length"
        | "model_context_window_exceeded" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter"
        | "content_filtered"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "guardrail_intervened" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Pause,
        "error" | "insufficient_system_resource" => return None,
        _ => FinishReason::Stop,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_what_they_leave_unsaid() {
        use FinishReason::*;
        let plain = Signs { word: "stop", called_tools: false };
        for (signs, expected) in [
            (plain, Some(Stop)),
            (Signs { word: "eos", ..plain }, Some(Stop)),
            (Signs { word: "model_length", ..plain }, Some(Length)),
            (Signs { word: "function_call", ..plain }, Some(ToolCalls)),
            (Signs { word: "SAFETY", ..plain }, Some(ContentFilter)),
            (Signs { word: "insufficient_system_resource", ..plain }, None),
            (Signs { word: "error", ..plain }, None),
            (Signs { called_tools: true, ..plain }, Some(ToolCalls)),
            // `[DONE]` without any reason is `stop` (DESIGN.md, invariant 4).
            (Signs { word: "", called_tools: true }, Some(Stop)),
            (Signs { word: "tool_calls", ..plain }, Some(ToolCalls)),
            (Signs { word: "content_filter", called_tools: true }, Some(ContentFilter)),
        ] {
            assert_eq!(reason(signs), expected, "{signs:?}");
        }
    }
}
