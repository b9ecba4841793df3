//! The names of the conventions (open-telemetry/semantic-conventions-genai), in one place because they still move.

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(super) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
/// As it was called before.
pub(super) const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
pub(super) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const ERROR_TYPE: &str = "error.type";

// Our own.
pub(super) const GENERATION: &str = "tokenway.generation";
pub(super) const CHANNEL: &str = "tokenway.channel";
pub(super) const CONFIGURED_PROVIDER: &str = "tokenway.provider";
pub(super) const ATTEMPTS: &str = "tokenway.attempts";
pub(super) const COST: &str = "tokenway.cost";

/// The only operation that a generation is.
pub(super) const CHAT: &str = "chat";

/// Whose API it is, in the conventions' words, by where it is; where they have no word for it, the operator's name for it.
pub(super) fn provider(dialect: &str, host: &str, configured: &str) -> String {
    let by_host = [
        ("api.openai.com", "openai"),
        (".openai.azure.com", "azure.ai.openai"),
        (".services.ai.azure.com", "azure.ai.inference"),
        ("api.anthropic.com", "anthropic"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.x.ai", "x_ai"),
        ("api.perplexity.ai", "perplexity"),
        ("api.cohere.com", "cohere"),
        ("api.moonshot.ai", "moonshot_ai"),
    ];
    let known = by_host
        .iter()
        .find(|(end, _)| host == *end || (end.starts_with('.') && host.ends_with(end)));
    match (known, dialect) {
        (Some((_, word)), _) => (*word).to_owned(),
        (None, "bedrock") => "aws.bedrock".to_owned(),
        (None, _) => configured.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::provider;

    #[test]
    fn a_provider_is_known_by_where_it_is() {
        assert_eq!(provider("responses", "api.openai.com", "main"), "openai");
        assert_eq!(provider("openai", "eu.openai.azure.com", "az"), "azure.ai.openai");
        assert_eq!(
            provider("bedrock", "bedrock-runtime.us-east-1.amazonaws.com", "b"),
            "aws.bedrock"
        );
        assert_eq!(provider("openai", "127.0.0.1", "local"), "local");
        assert_eq!(provider("openai", "api.openai.com.evil.example", "evil"), "evil");
    }
}
