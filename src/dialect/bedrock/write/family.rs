//! Whose model it is, by its id: `us.anthropic.claude-haiku-4-5-20251001-v1:0`, `amazon.nova-lite-v1:0`, or an ARN that
//! holds one. The ARN of an application's own profile tells nothing.

/// A maker's models, as far as Converse treats them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's.
    Claude {
        /// It decides itself how much to think, within an effort; the older ones take a budget.
        adaptive: bool,
    },
    /// Amazon's own.
    Nova,
    /// OpenAI's open models.
    GptOss,
    /// Mistral's.
    Mistral,
    /// Everybody else's, or nobody knows.
    Other,
}

/// Parts of the ids of Claude models that only take a budget.
const BUDGETED: [&str; 9] = [
    "claude-v2",
    "claude-instant",
    "claude-3",
    "sonnet-4-2",
    "opus-4-2",
    "opus-4-1",
    "haiku-4-5",
    "sonnet-4-5",
    "opus-4-5",
];

impl Family {
    /// The family of a model's id.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let is = |word: &str| model.contains(word);
        if is("anthropic.") || is("claude") {
            Self::Claude { adaptive: !BUDGETED.iter().any(|old| is(old)) }
        } else if is("amazon.nova") {
            Self::Nova
        } else if is("gpt-oss") {
            Self::GptOss
        } else if is("mistral.") {
            Self::Mistral
        } else {
            Self::Other
        }
    }

    /// Whether it takes cache points, and elsewhere than among tools at all.
    pub(super) fn caches(self) -> bool {
        matches!(self, Self::Claude { .. } | Self::Nova)
    }

    /// Whether a tool's result may be marked as an error.
    pub(super) fn takes_status(self) -> bool {
        matches!(self, Self::Claude { .. } | Self::Nova)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_family() {
        for (model, family) in [
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Family::Claude { adaptive: false }),
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", Family::Claude { adaptive: false }),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", Family::Claude { adaptive: false }),
            ("global.anthropic.claude-opus-4-6-v1", Family::Claude { adaptive: true }),
            ("anthropic.claude-sonnet-5", Family::Claude { adaptive: true }),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("meta.llama3-1-8b-instruct-v1:0", Family::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2",
                Family::Other,
            ),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
