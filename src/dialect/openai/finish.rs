//! Why a choice ended, in the one vocabulary, also where the provider's word is not true.

use crate::event::FinishReason;

/// What is known of a choice's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs<'a> {
    /// `finish_reason`.
    pub word: &'a str,
    /// The word of the provider behind a broker.
    pub native: &'a str,
    pub refused: bool,
    pub called_tools: bool,
}

/// Why it ended; `None` is an error.
pub(super) fn reason(signs: Signs<'_>) -> Option<FinishReason> {
    use FinishReason::{Length, Refusal, Stop, ToolCalls};
    let reason = read(signs.word)?;
    Some(match reason {
        // Brokers call a cut call a call.
        Stop | ToolCalls if read(signs.native) == Some(Length) => Length,
        Stop if signs.refused => Refusal,
        Stop if signs.called_tools => ToolCalls,
        reason => reason,
    })
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
    fn words_and_lies() {
        use FinishReason::*;
        let plain = Signs { word: "stop", native: "", refused: false, called_tools: false };
        for (signs, expected) in [
            (plain, Some(Stop)),
            (Signs { word: "eos", ..plain }, Some(Stop)),
            (Signs { word: "model_length", ..plain }, Some(Length)),
            (Signs { word: "function_call", ..plain }, Some(ToolCalls)),
            (Signs { word: "SAFETY", ..plain }, Some(ContentFilter)),
            (Signs { word: "insufficient_system_resource", ..plain }, None),
            (Signs { word: "error", ..plain }, None),
            (Signs { refused: true, ..plain }, Some(Refusal)),
            (Signs { called_tools: true, ..plain }, Some(ToolCalls)),
            (Signs { word: "tool_calls", native: "max_output_tokens", ..plain }, Some(Length)),
            (Signs { word: "tool_calls", native: "completed", ..plain }, Some(ToolCalls)),
            (Signs { word: "content_filter", refused: true, ..plain }, Some(ContentFilter)),
        ] {
            assert_eq!(reason(signs), expected, "{signs:?}");
        }
    }
}
