//! The config that the environment alone makes: the variables that the providers' own SDKs read, and nothing else.

use super::{
    Config, ConfigError, Endpoint, Environment, Http, Model, Provider, Secret, default_base_url,
    preset::{model, without_file},
    resolve,
};
use crate::dialect::Dialect;

/// A provider that its SDK's variables can configure.
struct Usual {
    name: &'static str,
    dialect: Dialect,
    /// The first that is set counts.
    keys: &'static [&'static str],
    /// Where the variable for the base URL exists, a provider may do without a key.
    base_url_variable: Option<&'static str>,
    /// In place of the dialect's own.
    base_url: Option<&'static str>,
    /// Bare names that can only be its own.
    names: &'static [&'static str],
}

/// A provider that speaks OpenAI's Chat Completions elsewhere.
const fn compatible(
    name: &'static str,
    keys: &'static [&'static str],
    base_url: &'static str,
    names: &'static [&'static str],
) -> Usual {
    let dialect = Dialect::OpenAi;
    Usual { name, dialect, keys, base_url_variable: None, base_url: Some(base_url), names }
}

/// The first that is configured takes what no model names, and the bare names that nobody else has.
const USUAL: [Usual; 11] = [
    Usual {
        name: "openai",
        dialect: Dialect::OpenAi,
        keys: &["OPENAI_API_KEY"],
        base_url_variable: Some("OPENAI_BASE_URL"),
        base_url: None,
        names: &[],
    },
    Usual {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        keys: &["ANTHROPIC_API_KEY"],
        base_url_variable: Some("ANTHROPIC_BASE_URL"),
        base_url: None,
        names: &["claude-*"],
    },
    Usual {
        name: "gemini",
        dialect: Dialect::Gemini,
        // The order in which Google's SDK prefers them.
        keys: &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
        base_url_variable: Some("GOOGLE_GEMINI_BASE_URL"),
        base_url: None,
        names: &["gemini-*"],
    },
    compatible(
        "mistral",
        &["MISTRAL_API_KEY"],
        "https://api.mistral.ai/v1",
        &["mistral-*", "codestral-*"],
    ),
    compatible("groq", &["GROQ_API_KEY"], "https://api.groq.com/openai/v1", &[]),
    compatible("deepseek", &["DEEPSEEK_API_KEY"], "https://api.deepseek.com/v1", &["deepseek-*"]),
    compatible("xai", &["XAI_API_KEY"], "https://api.x.ai/v1", &["grok-*"]),
    compatible("openrouter", &["OPENROUTER_API_KEY"], "https://openrouter.ai/api/v1", &[]),
    compatible("together", &["TOGETHER_API_KEY"], "https://api.together.xyz/v1", &[]),
    Usual {
        name: "bedrock",
        dialect: Dialect::Bedrock,
        keys: &["AWS_BEARER_TOKEN_BEDROCK"],
        base_url_variable: None,
        base_url: None,
        names: &[],
    },
    Usual {
        name: "ollama",
        dialect: Dialect::Ollama,
        keys: &[],
        base_url_variable: Some("OLLAMA_HOST"),
        base_url: None,
        names: &[],
    },
];

/// Where Ollama listens.
const OLLAMA_PORT: u16 = 11434;

impl Config {
    /// What the usual variables say: each provider under `name/*`, its own family of bare names, and every other name
    /// at the first of them.
    pub fn from_env(environment: &Environment) -> Result<Self, ConfigError> {
        let mut config = without_file();
        for usual in &USUAL {
            if let Some(http) = usual.http(environment)? {
                let endpoint = Endpoint::Http(Box::new(http));
                config.providers.push(Provider { name: usual.name.to_owned(), endpoint });
                config.models.extend(usual.models());
            }
        }
        let Some(first) = config.providers.first() else {
            let advice = "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or \
                          another provider's (OPENAI_BASE_URL for a server without one), or give a file by \
                          `tokenway serve --config FILE`, or try it without any by `tokenway demo`";
            return Err(ConfigError::one("environment", advice));
        };
        config.models.push(model("*", &first.name, None));
        let telemetry = resolve::telemetry_of(environment);
        config.telemetry = telemetry.map_err(|fault| ConfigError::one("environment", fault))?;
        config.notes.extend(resolve::proxy_note(&config.providers, environment));
        Ok(config)
    }
}

impl Usual {
    fn models(&self) -> impl Iterator<Item = Model> {
        let own = format!("{}/*", self.name);
        let names = self.names.iter().map(|name| (*name).to_owned());
        std::iter::once(own).chain(names).map(|name| model(&name, self.name, None))
    }

    /// Its endpoint, if a variable says that there is one.
    fn http(&self, environment: &Environment) -> Result<Option<Http>, ConfigError> {
        let set = |variable: &'static str| Some((variable, environment.filled(variable)?));
        let key = self.keys.iter().find_map(|variable| set(variable));
        let url = self.base_url_variable.and_then(set);
        if key.is_none() && url.is_none() {
            return Ok(None);
        }
        if let Some((variable, key)) = key
            && !resolve::is_header_value(key)
        {
            let fault = "holds characters that cannot be sent in a header";
            return Err(ConfigError::one(&format!("environment: {variable}"), fault));
        }
        let (variable, url) = match (url, self.dialect) {
            (Some((variable, host)), Dialect::Ollama) => (variable, ollama(host)),
            (Some((variable, url)), _) => (variable, url.to_owned()),
            (None, Dialect::Bedrock) => ("AWS_REGION", bedrock(environment)?),
            (None, dialect) => {
                let url = self.base_url.or_else(|| default_base_url(dialect));
                (self.name, url.expect("a provider without a variable has a base URL").to_owned())
            }
        };
        let base_url = resolve::base_url(&url).map_err(|expected| {
            ConfigError::one(&format!("environment: {variable}"), format!("expected {expected}"))
        })?;
        let mut http = Http::at(self.dialect, base_url);
        http.api_keys = key.map(|(_, key)| Secret::new(key)).into_iter().collect();
        Ok(Some(http))
    }
}

/// `OLLAMA_HOST` as Ollama's own programs read it: `host`, `host:port` or a URL; the address to listen on at every
/// interface means this machine.
fn ollama(host: &str) -> String {
    let (scheme, host) = host.split_once("://").unwrap_or(("http", host));
    let (authority, path) = host.split_at(host.find('/').unwrap_or(host.len()));
    let (name, port) = match authority.rsplit_once(':') {
        // Not the end of a bare IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let name = match name {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        bare if bare.contains(':') && !bare.starts_with('[') => format!("[{bare}]"),
        name => name.to_owned(),
    };
    let port = port.map(str::to_owned).unwrap_or_else(|| match scheme {
        "https" => "443".to_owned(),
        _ => OLLAMA_PORT.to_string(),
    });
    format!("{scheme}://{name}:{port}{path}")
}

fn bedrock(environment: &Environment) -> Result<String, ConfigError> {
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let region = region.iter().find_map(|name| environment.filled(name));
    match region {
        Some(region) if resolve::is_region(region) => Ok(resolve::base_url_in(region)),
        Some(_) => {
            let fault = "expected a region such as `us-east-1`";
            Err(ConfigError::one("environment: AWS_REGION", fault))
        }
        None => {
            let fault = "AWS_BEARER_TOKEN_BEDROCK is set, and no region; set AWS_REGION, such as `us-east-1`";
            Err(ConfigError::one("environment", fault))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollamas_host_is_read_as_ollama_reads_it() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:11434"),
            ("box:8080", "http://box:8080"),
            (":8080", "http://127.0.0.1:8080"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1", "http://127.0.0.1:1"),
            ("[::]:1", "http://[::1]:1"),
            ("::1", "http://[::1]:11434"),
            ("http://box", "http://box:11434"),
            ("https://box.example/ollama", "https://box.example:443/ollama"),
        ] {
            assert_eq!(ollama(host), url, "{host}");
        }
    }
}
