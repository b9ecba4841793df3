//! The one table of what an answer cannot say in an app's dialect. `docs/dialects.md` is written from it.
//!
//! It is held from both sides: a pair that loses something else fails, and so does a line here that nothing loses.

use tokenway::{
    dialect::{AppDialect, Dialect},
    event::FinishReason,
};

/// A member of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Text,
    Reasoning,
    Signatures,
    Encrypted,
    Refusal,
    ToolCalls,
    OtherChoices,
    Citations,
    Images,
    /// Blocks and calls of tools that the provider runs itself, and whatever else only its dialect knows.
    Natives,
    Finish(FinishReason),
    Usage,
    CachedInput,
    CacheWrite,
    ReasoningTokens,
    Error,
}

impl Member {
    /// As a person reads it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Reasoning => "reasoning".into(),
            Self::Signatures => "signatures of reasoning".into(),
            Self::Encrypted => "encrypted reasoning".into(),
            Self::Refusal => "the words of a refusal".into(),
            Self::ToolCalls => "tool calls".into(),
            Self::OtherChoices => "several choices".into(),
            Self::Citations => "citations".into(),
            Self::Images => "images".into(),
            Self::Natives => "what the provider's own tools do, and blocks only it knows".into(),
            Self::Finish(reason) => format!("end `{}`", reason.as_str()),
            Self::Usage => "usage: input and output".into(),
            Self::CachedInput => "usage: input from cache".into(),
            Self::CacheWrite => "usage: input into cache".into(),
            Self::ReasoningTokens => "usage: reasoning".into(),
            Self::Error => "errors".into(),
        }
    }

    /// All that an answer can have.
    pub(crate) const ALL: [Self; 21] = [
        Self::Text,
        Self::Reasoning,
        Self::Signatures,
        Self::Encrypted,
        Self::Refusal,
        Self::ToolCalls,
        Self::OtherChoices,
        Self::Citations,
        Self::Images,
        Self::Natives,
        Self::Finish(FinishReason::Stop),
        Self::Finish(FinishReason::Length),
        Self::Finish(FinishReason::ToolCalls),
        Self::Finish(FinishReason::ContentFilter),
        Self::Finish(FinishReason::Refusal),
        Self::Finish(FinishReason::Pause),
        Self::Usage,
        Self::CachedInput,
        Self::CacheWrite,
        Self::ReasoningTokens,
        Self::Error,
    ];
}

/// What an app is told otherwise, or not at all.
#[derive(Debug)]
pub(crate) struct Loss {
    /// The app's dialect.
    pub(crate) app: AppDialect,
    /// Of an answer by this dialect; `None`: by any but the app's own.
    pub(crate) provider: Option<Dialect>,
    pub(crate) member: Member,
    /// What the app gets in its place.
    pub(crate) becomes: &'static str,
}

const fn any(app: AppDialect, member: Member, becomes: &'static str) -> Loss {
    Loss { app, provider: None, member, becomes }
}

use AppDialect::{Anthropic, Gemini, OpenAi, Responses};

/// The table.
pub(crate) const LOSSES: &[Loss] = &[
    any(OpenAi, Member::Natives, "left out"),
    any(Responses, Member::Natives, "left out"),
    any(Anthropic, Member::Natives, "left out"),
    any(Gemini, Member::Natives, "left out"),
];

/// The line that allows a pair to lose a member.
pub(crate) fn allowed(provider: Dialect, app: AppDialect, member: Member) -> Option<usize> {
    // Between like and like nothing may be lost.
    if provider == Dialect::from(app) {
        return None;
    }
    LOSSES.iter().position(|loss| {
        loss.app == app && loss.member == member && loss.provider.is_none_or(|of| of == provider)
    })
}
