//! Why an answer ended: Google's words and ours.

use crate::event::FinishReason::{self, ContentFilter, Length, Pause, Refusal, Stop, ToolCalls};

/// The end of a prompt that was not answered at all, where nothing tells why.
pub(super) const SAFETY: &str = "SAFETY";
/// A call that cannot be written: its arguments are no JSON object.
pub(super) const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

/// What `word` means; `None`: an error. Empty: the provider gave none. `called_tools`: the app is to run some, of which
/// Google's words say nothing.
pub(super) fn reason(word: &str, called_tools: bool) -> Option<FinishReason> {
    Some(match word {
        "MAX_TOKENS" => Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "MODEL_ARMOR" | "JAILBREAK" => ContentFilter,
        _ if word.starts_with("IMAGE_") => ContentFilter,
        "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MISSING_THOUGHT_SIGNATURE" => {
            return None;
        }
        _ if word.starts_with("MALFORMED_") => return None,
        _ if called_tools => ToolCalls,
        _ => Stop,
    })
}

/// The word for a reason.
pub(super) fn word(reason: FinishReason) -> &'static str {
    match reason {
        Stop | ToolCalls | Pause => "STOP",
        Length => "MAX_TOKENS",
        ContentFilter | Refusal => SAFETY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_reasons() {
        for (given, called, expected) in [
            ("STOP", false, Some(Stop)),
            ("STOP", true, Some(ToolCalls)),
            ("", true, Some(ToolCalls)),
            ("MAX_TOKENS", true, Some(Length)),
            ("SAFETY", true, Some(ContentFilter)),
            ("IMAGE_PROHIBITED_CONTENT", false, Some(ContentFilter)),
            ("NO_IMAGE", false, Some(Stop)),
            ("OTHER", false, Some(Stop)),
            ("MALFORMED_FUNCTION_CALL", false, None),
            ("MALFORMED_RESPONSE", true, None),
            ("TOO_MANY_TOOL_CALLS", true, None),
        ] {
            assert_eq!(reason(given, called), expected, "{given}");
        }
        for ours in [Stop, Length, ContentFilter] {
            assert_eq!(reason(word(ours), false), Some(ours));
        }
    }
}
