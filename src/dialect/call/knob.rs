//! The members of a call that have a name in every dialect, and those names.

use super::AppDialect;

/// A member that dialects share, under names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// Sampling temperature.
    Temperature,
    /// Nucleus sampling.
    TopP,
    /// How many candidates a token is drawn from.
    TopK,
    /// What sampling begins with.
    Seed,
    /// Against repeating often.
    FrequencyPenalty,
    /// Against repeating at all.
    PresencePenalty,
    /// Whether log probabilities are wanted.
    Logprobs,
    /// Of how many candidates.
    TopLogprobs,
    /// The class of service.
    ServiceTier,
    /// The most tokens of output.
    MaxOutput,
    /// How many answers.
    Choices,
    /// Texts that end the answer.
    Stop,
    /// Whether a tool must be called.
    ToolChoice,
    /// Whether several tools may be called at once.
    ParallelTools,
    /// The form of the answer.
    Output,
    /// How hard to think.
    Reasoning,
    /// Who the app's user is.
    User,
    /// The app's own labels.
    Metadata,
}

impl Knob {
    /// Its path in an app's body, in the dialect's own spelling.
    pub fn path(self, app: AppDialect) -> &'static str {
        use AppDialect::{Anthropic, Gemini, OpenAi, Responses};
        match (self, app) {
            (Self::Temperature, Gemini) => "generationConfig.temperature",
            (Self::Temperature, _) => "temperature",
            (Self::TopP, Gemini) => "generationConfig.topP",
            (Self::TopP, _) => "top_p",
            (Self::TopK, Gemini) => "generationConfig.topK",
            (Self::TopK, _) => "top_k",
            (Self::Seed, Gemini) => "generationConfig.seed",
            (Self::Seed, _) => "seed",
            (Self::FrequencyPenalty, Gemini) => "generationConfig.frequencyPenalty",
            (Self::FrequencyPenalty, _) => "frequency_penalty",
            (Self::PresencePenalty, Gemini) => "generationConfig.presencePenalty",
            (Self::PresencePenalty, _) => "presence_penalty",
            (Self::Logprobs, Gemini) => "generationConfig.responseLogprobs",
            (Self::Logprobs, Responses) => "include",
            (Self::Logprobs, _) => "logprobs",
            (Self::TopLogprobs, Gemini) => "generationConfig.logprobs",
            (Self::TopLogprobs, _) => "top_logprobs",
            (Self::ServiceTier, Gemini) => "serviceTier",
            (Self::ServiceTier, _) => "service_tier",
            (Self::MaxOutput, OpenAi) => "max_completion_tokens",
            (Self::MaxOutput, Responses) => "max_output_tokens",
            (Self::MaxOutput, Anthropic) => "max_tokens",
            (Self::MaxOutput, Gemini) => "generationConfig.maxOutputTokens",
            (Self::Choices, Gemini) => "generationConfig.candidateCount",
            (Self::Choices, _) => "n",
            (Self::Stop, OpenAi | Responses) => "stop",
            (Self::Stop, Anthropic) => "stop_sequences",
            (Self::Stop, Gemini) => "generationConfig.stopSequences",
            (Self::ToolChoice, Gemini) => "toolConfig.functionCallingConfig",
            (Self::ToolChoice, _) => "tool_choice",
            (Self::ParallelTools, Anthropic) => "tool_choice.disable_parallel_tool_use",
            (Self::ParallelTools, _) => "parallel_tool_calls",
            (Self::Output, OpenAi) => "response_format",
            (Self::Output, Responses) => "text.format",
            (Self::Output, Anthropic) => "output_config.format",
            (Self::Output, Gemini) => "generationConfig.responseSchema",
            (Self::Reasoning, OpenAi) => "reasoning_effort",
            (Self::Reasoning, Responses) => "reasoning",
            (Self::Reasoning, Anthropic) => "thinking",
            (Self::Reasoning, Gemini) => "generationConfig.thinkingConfig",
            (Self::User, Anthropic) => "metadata.user_id",
            (Self::User, _) => "user",
            (Self::Metadata, Gemini) => "labels",
            (Self::Metadata, _) => "metadata",
        }
    }
}
