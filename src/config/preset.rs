//! Configs without a file: the demo's, and the one that the usual environment variables make.

use std::time::Duration;

use super::{
    Access, Channels, Config, ConfigError, Endpoint, Environment, Failover, Http, Listen, Model,
    OnDisconnect, Provider, Secret, Simulator, Store, Target, Timeouts, default_base_url, resolve,
};
use crate::dialect::Dialect;

/// The demo's models by their public names, and the simulator's models behind them.
pub const DEMO_MODELS: [(&str, &str); 11] = [
    ("chat", "sim-text"),
    ("reasoner", "sim-reasoning"),
    ("tools", "sim-tools"),
    ("polyglot", "sim-languages"),
    ("novel", "sim-long"),
    ("slow-start", "sim-slow-start"),
    ("fails-at-once", "sim-error-first"),
    ("fails-midway", "sim-error-middle"),
    ("cut", "sim-cut"),
    ("reset", "sim-reset"),
    ("stall", "sim-stall"),
];

/// Nobody who watches a demo waits five minutes for a timeout.
const DEMO_STALL_IDLE: Duration = Duration::from_secs(10);

/// Variables of other SDKs, and the dialects that they would make.
const LATER: [(&str, &str); 5] = [
    ("ANTHROPIC_API_KEY", "anthropic"),
    ("GEMINI_API_KEY", "gemini"),
    ("GOOGLE_API_KEY", "gemini"),
    ("OLLAMA_HOST", "ollama"),
    ("AWS_BEARER_TOKEN_BEDROCK", "bedrock"),
];

impl Config {
    /// The simulator, and a model for each thing it can show.
    pub fn demo() -> Self {
        let simulator = Endpoint::Simulator(Simulator::default());
        let mut config = Self::of("simulator", simulator);
        config.models = DEMO_MODELS
            .iter()
            .map(|(name, upstream)| model(name, "simulator", Some((*upstream).to_owned())))
            .collect();
        for stall in config.models.iter_mut().filter(|model| model.name == "stall") {
            stall.timeouts.idle = DEMO_STALL_IDLE;
        }
        config
    }

    /// What `OPENAI_API_KEY` and `OPENAI_BASE_URL` say; every model name goes there as it is.
    pub fn from_env(environment: &Environment) -> Result<Self, ConfigError> {
        let later = LATER.iter().filter(|(variable, _)| environment.filled(variable).is_some());
        let notes: Vec<_> = later
            .map(|(variable, dialect)| {
                format!(
                    "{variable} is set, but the dialect `{dialect}` is not available in this version"
                )
            })
            .collect();
        let api_key = environment.filled("OPENAI_API_KEY").map(Secret::new);
        let base_url = environment.filled("OPENAI_BASE_URL");
        if api_key.is_none() && base_url.is_none() {
            let advice = "no provider is configured: set OPENAI_API_KEY (and OPENAI_BASE_URL for another \
                          server), or give a file by `tokenway serve --config FILE`, or try it without any by \
                          `tokenway demo`";
            let all = notes.into_iter().chain([advice.to_owned()]);
            return Err(ConfigError::one("environment", all.collect::<Vec<_>>().join("; ")));
        }
        if api_key.as_ref().is_some_and(|key| !resolve::is_header_value(key.expose())) {
            let fault = "holds characters that cannot be sent in a header";
            return Err(ConfigError::one("environment: OPENAI_API_KEY", fault));
        }
        let default = default_base_url(Dialect::OpenAi).expect("OpenAI has a base URL");
        let base_url = resolve::base_url(base_url.unwrap_or(default)).map_err(|expected| {
            ConfigError::one("environment: OPENAI_BASE_URL", format!("expected {expected}"))
        })?;
        let openai = Http { dialect: Dialect::OpenAi, base_url, api_key, headers: Vec::new() };
        let mut config = Self::of("openai", Endpoint::Http(openai));
        config.models = vec![model("openai/*", "openai", None), model("*", "openai", None)];
        config.notes = notes;
        Ok(config)
    }

    fn of(name: &str, endpoint: Endpoint) -> Self {
        Self {
            listen: Listen::default(),
            providers: vec![Provider { name: name.to_owned(), endpoint }],
            models: Vec::new(),
            channels: Channels::default(),
            store: Store::default(),
            access: Access::default(),
            notes: Vec::new(),
        }
    }
}

fn model(name: &str, provider: &str, upstream: Option<String>) -> Model {
    Model {
        name: name.to_owned(),
        targets: vec![Target { provider: provider.to_owned(), model: upstream, weight: None }],
        timeouts: Timeouts::default(),
        on_disconnect: OnDisconnect::default(),
        failover: Failover::default(),
    }
}
