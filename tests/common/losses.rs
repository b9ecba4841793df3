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
    UnparsedCalls,
    OtherChoices,
    Citations,
    Images,
    /// Blocks and calls of tools that the provider runs itself, and whatever else only its dialect knows.
    Natives,
    Finish(FinishReason),
    NoUsage,
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
            Self::UnparsedCalls => "tool calls whose arguments are no JSON".into(),
            Self::OtherChoices => "several choices".into(),
            Self::Citations => "citations".into(),
            Self::Images => "images".into(),
            Self::Natives => "what the provider's own tools do, and blocks only it knows".into(),
            Self::Finish(reason) => format!("end `{}`", reason.as_str()),
            Self::NoUsage => "no usage, where none came".into(),
            Self::Usage => "usage: input and output".into(),
            Self::CachedInput => "usage: input from cache".into(),
            Self::CacheWrite => "usage: input into cache".into(),
            Self::ReasoningTokens => "usage: reasoning".into(),
            Self::Error => "errors".into(),
        }
    }

    /// All that an answer can have.
    pub(crate) const ALL: [Self; 23] = [
        Self::Text,
        Self::Reasoning,
        Self::Signatures,
        Self::Encrypted,
        Self::Refusal,
        Self::ToolCalls,
        Self::UnparsedCalls,
        Self::OtherChoices,
        Self::Citations,
        Self::Images,
        Self::Natives,
        Self::Finish(FinishReason::Stop),
        Self::Finish(FinishReason::Length),
        Self::Finish(FinishReason::ToolCalls),
        Self::Finish(ContentFilter),
        Self::Finish(Refusal),
        Self::Finish(Pause),
        Self::NoUsage,
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

use FinishReason::{ContentFilter, Pause, Refusal};

/// The table.
pub(crate) const LOSSES: &[Loss] = &[
    any(OpenAi, Member::Natives, "left out"),
    any(OpenAi, Member::Citations, "those of web pages; passages of documents are left out"),
    any(OpenAi, Member::Finish(Pause), "`stop`"),
    any(OpenAi, Member::Finish(Refusal), "`content_filter`"),
    any(Responses, Member::Natives, "left out"),
    any(Responses, Member::Citations, "those of web pages; passages of documents are left out"),
    any(Responses, Member::OtherChoices, "the first choice alone"),
    any(Responses, Member::Finish(Pause), "`completed`"),
    any(Responses, Member::Finish(Refusal), "`incomplete: content_filter`"),
    any(Anthropic, Member::Natives, "left out"),
    // Anthropic's quote their source and hold what only it can write (`cited_text`, `encrypted_index`).
    any(Anthropic, Member::Citations, "left out"),
    any(Anthropic, Member::Images, "left out"),
    any(Anthropic, Member::OtherChoices, "the first choice alone"),
    any(Anthropic, Member::Refusal, "text, and the end `refusal`"),
    any(Anthropic, Member::Finish(ContentFilter), "`refusal`"),
    any(Anthropic, Member::NoUsage, "zeros"),
    any(Gemini, Member::Natives, "left out"),
    any(Gemini, Member::Citations, "each source once"),
    any(Gemini, Member::Refusal, "text"),
    any(Gemini, Member::UnparsedCalls, "the end `MALFORMED_FUNCTION_CALL`"),
    any(Gemini, Member::Finish(Pause), "`STOP`"),
    any(Gemini, Member::Finish(Refusal), "`SAFETY`"),
    any(Gemini, Member::CacheWrite, "part of the input alone"),
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
