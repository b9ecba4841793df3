//! Providers as the config has them: their endpoints, their keys and the way there.

use std::{collections::HashMap, sync::Arc};

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::{
    api::App,
    config::{self, Config, Secret},
    dialect::Dialect,
    provider::{CallerKey, Endpoint, Http, HttpSettings, Provider, sigv4::Signer, simulator},
};

/// All providers of a config. One that is the same as before stays the same, with its connections and its resting keys.
pub(super) fn providers(
    config: &Config,
    before: Option<(&Config, &App)>,
) -> HashMap<String, Arc<Provider>> {
    let kept = |wanted: &config::Provider| {
        let (config, app) = before?;
        let same = config.providers.iter().any(|one| one == wanted);
        app.providers.get(&wanted.name).filter(|_| same).map(Arc::clone)
    };
    let named = config.providers.iter().map(|wanted| match kept(wanted) {
        Some(provider) => (wanted.name.clone(), provider),
        None => provider(wanted),
    });
    named.collect()
}

fn provider(config: &config::Provider) -> (String, Arc<Provider>) {
    let (endpoint, secrets) = match &config.endpoint {
        config::Endpoint::Http(http) => {
            let mut endpoint = Http::new(http.base_url.as_str(), outbound(http));
            if let Some(key) = &http.access_key {
                let token = key.session_token.as_ref().map(|token| token.expose().to_owned());
                let signer = Signer::new(&key.region, &key.id, key.secret.expose(), token);
                endpoint = endpoint.signed(signer);
            }
            (Endpoint::Http(Box::new(endpoint)), secrets(http))
        }
        config::Endpoint::Simulator(settings) => {
            let settings = simulator::Settings {
                tokens_per_second: settings.tokens_per_second,
                seed: settings.seed,
            };
            (Endpoint::Simulator(simulator::Simulator::new(settings)), Vec::new())
        }
    };
    let dialect = config.endpoint.dialect();
    (config.name.clone(), Arc::new(Provider::new(&config.name, dialect, endpoint, secrets)))
}

fn outbound(http: &config::Http) -> HttpSettings {
    let keys = http.api_keys.iter().map(|key| key_header(http, key));
    let proxy = http.proxy.as_ref().map(|url| reqwest::Proxy::all(url.expose()));
    let ca = http.ca.iter().map(|der| reqwest::Certificate::from_der(der));
    HttpSettings {
        remove_headers: http.remove_headers.clone(),
        headers: http.headers.iter().cloned().collect(),
        keys: keys.collect(),
        caller_key: http.forward_caller_key.then(|| key_place(http)),
        proxy: proxy.transpose().expect("the config has tried the proxy's URL"),
        ca: ca.collect::<Result<_, _>>().expect("the config has tried each certificate"),
    }
}

/// What must not be repeated in anything that the provider says.
fn secrets(http: &config::Http) -> Vec<String> {
    let keys = http.api_keys.iter().map(|key| key.expose().to_owned());
    let proxy = http.proxy.as_ref().and_then(|url| reqwest::Url::parse(url.expose()).ok());
    let password = proxy.and_then(|url| url.password().map(str::to_owned));
    let signing = http.access_key.iter();
    let signing = signing.flat_map(|key| [Some(&key.secret), key.session_token.as_ref()]);
    let signing = signing.flatten().map(|secret| secret.expose().to_owned());
    keys.chain(signing).chain(password).chain(http.headers.iter().filter_map(credential)).collect()
}

/// Where a provider looks for a key.
fn key_place(http: &config::Http) -> CallerKey {
    let of_dialect = match http.dialect {
        Dialect::Anthropic => Some(HeaderName::from_static("x-api-key")),
        Dialect::Gemini => Some(HeaderName::from_static("x-goog-api-key")),
        Dialect::OpenAi | Dialect::Responses | Dialect::Ollama | Dialect::Bedrock => None,
    };
    match http.key_header.clone().or(of_dialect) {
        Some(header) => CallerKey { header, before: "" },
        None => CallerKey { header: AUTHORIZATION, before: "Bearer " },
    }
}

/// A provider's own key in its header.
fn key_header(http: &config::Http, key: &Secret) -> (HeaderName, HeaderValue) {
    let CallerKey { header, before } = key_place(http);
    let value = HeaderValue::try_from(format!("{before}{}", key.expose()));
    (header, value.expect("the config has tried each key in a header"))
}

/// The key in one of the operator's own headers, if by its name it is one: `api-key`, `authorization`, `x-auth-token`.
fn credential((name, value): &(HeaderName, HeaderValue)) -> Option<String> {
    let secret = ["auth", "cookie", "key", "secret", "token"];
    let is_secret = secret.iter().any(|word| name.as_str().contains(word));
    // Behind the scheme, if there is one.
    let value = value.to_str().ok()?.rsplit(' ').next()?;
    is_secret.then(|| value.to_owned())
}
