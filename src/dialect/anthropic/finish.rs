//! Why a message ended: Anthropic's words and the one vocabulary.

use crate::event::{FinishReason, Finished};

/// What a `stop_reason` means. A word that nobody knows is a natural end; the word itself is kept beside it.
pub(super) fn reason(word: &str) -> FinishReason {
    match word {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        "pause_turn" | "compaction" => FinishReason::Pause,
        _ => FinishReason::Stop,
    }
}

/// What is known of an end that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    /// The provider spoke this dialect, so that its own word is one of ours.
    pub own: bool,
    /// A refusal's text was said.
    pub refused: bool,
}

/// The `stop_reason` for an app.
pub(super) fn word(end: &Finished, signs: Signs) -> &str {
    let native = end.native_reason.as_deref().filter(|word| signs.own && !word.is_empty());
    if let Some(word) = native.filter(|word| reason(word) == end.reason) {
        return word;
    }
    match end.reason {
        FinishReason::Stop if signs.refused => "refusal",
        // A pause asks the app to send the turn back as it is, which only the provider that paused understands.
        FinishReason::Stop | FinishReason::Pause => match end.native_reason.as_deref() {
            Some("stop_sequence") => "stop_sequence",
            _ => "end_turn",
        },
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::Refusal | FinishReason::ContentFilter => "refusal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        use FinishReason::*;
        for (native, unified) in [
            ("end_turn", Stop),
            ("stop_sequence", Stop),
            ("max_tokens", Length),
            ("model_context_window_exceeded", Length),
            ("tool_use", ToolCalls),
            ("refusal", Refusal),
            ("pause_turn", Pause),
            ("compaction", Pause),
            ("a_word_of_tomorrow", Stop),
        ] {
            assert_eq!(reason(native), unified, "{native}");
            let end = Finished { reason: unified, native_reason: Some(native.to_owned()) };
            assert_eq!(word(&end, Signs { own: true, refused: false }), native);
        }
    }

    #[test]
    fn other_dialects_reasons_become_anthropics() {
        use FinishReason::*;
        let foreign = Signs { own: false, refused: false };
        for (unified, native, expected) in [
            (Stop, "stop", "end_turn"),
            (Stop, "stop_sequence", "stop_sequence"),
            (Length, "length", "max_tokens"),
            (ToolCalls, "tool_calls", "tool_use"),
            (ContentFilter, "SAFETY", "refusal"),
            (Refusal, "refusal", "refusal"),
            (Pause, "in_progress", "end_turn"),
        ] {
            let end = Finished { reason: unified, native_reason: Some(native.to_owned()) };
            assert_eq!(word(&end, foreign), expected, "{native}");
        }
        let end = Finished { reason: Stop, native_reason: Some("stop".to_owned()) };
        assert_eq!(word(&end, Signs { refused: true, ..foreign }), "refusal");
    }
}
