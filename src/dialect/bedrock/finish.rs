//! Why an answer ended, in the one vocabulary.

use crate::event::FinishReason;

/// Why an answer with this `stopReason` ended; `None` is an error. Some models say `end_turn` after calling the app's
/// tools. A word that nobody knows is a natural end; the word itself is kept beside it.
pub(super) fn reason(word: &str, called_tools: bool) -> Option<FinishReason> {
    Some(match word {
        "end_turn" if called_tools => FinishReason::ToolCalls,
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        // Claude's own words, where the model's pass.
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Pause,
        "malformed_model_output" | "malformed_tool_use" => return None,
        _ => FinishReason::Stop,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_an_end_after_calls_is_for_the_calls() {
        use FinishReason::*;
        for (word, called_tools, expected) in [
            ("end_turn", false, Some(Stop)),
            ("end_turn", true, Some(ToolCalls)),
            ("tool_use", true, Some(ToolCalls)),
            ("stop_sequence", true, Some(Stop)),
            ("max_tokens", true, Some(Length)),
            ("model_context_window_exceeded", false, Some(Length)),
            ("guardrail_intervened", false, Some(ContentFilter)),
            ("content_filtered", false, Some(ContentFilter)),
            ("malformed_model_output", false, None),
            ("malformed_tool_use", true, None),
            ("a_word_of_next_year", false, Some(Stop)),
        ] {
            assert_eq!(reason(word, called_tools), expected, "{word}");
        }
    }
}
