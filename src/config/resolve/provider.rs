//! Providers: each dialect has keys of its own, and no others.

use reqwest::{Url, header::HeaderValue};

use super::{
    super::{
        Endpoint, Http, Provider, Simulator, default_base_url, file,
        located::At,
        problem::{Place, choice, list},
    },
    Resolver, http_url, outbound, place,
};
use crate::dialect::Dialect;

/// What a provider may speak.
const DIALECTS: [&str; 7] =
    ["openai", "responses", "anthropic", "gemini", "ollama", "bedrock", "simulator"];
/// Long enough for any name, short enough for a header and a metric's label.
const NAME_BYTES_MAX: usize = 64;

/// A URL under which paths can be put. The error says what would be right.
pub(in crate::config) fn base_url(text: &str) -> Result<Url, String> {
    let expected = || "a URL such as `https://api.openai.com/v1`".to_owned();
    let mut url = http_url(text).ok_or_else(expected)?;
    if url.fragment().is_some() {
        return Err("a URL without `#`, since paths are put after it".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without a user; put the key under `api_key`".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether it can be sent in a header.
pub(in crate::config) fn is_header_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

impl Resolver<'_> {
    pub(super) fn provider(&mut self, name: &At<String>, provider: &file::Provider) -> Provider {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.value.len()) || !name.value.bytes().all(allowed) {
            let message = "a provider's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -";
            self.wrong(Some(name.place), message);
        }
        let dialect = self.read(&provider.dialect, |text| match text {
            known if DIALECTS.contains(&known) => Ok(text.to_owned()),
            other => Err(format!("a dialect; {}", choice(other, &DIALECTS))),
        });
        if provider.dialect.0.is_none() {
            let message =
                format!("`{}` has no `dialect`; there are {}", name.value, list(&DIALECTS));
            self.wrong(Some(name.place), message);
        }
        let endpoint = match dialect.as_deref().map(|word| (word, Dialect::parse(word))) {
            Some((_, Some(dialect))) => {
                Endpoint::Http(Box::new(self.http(dialect, name, provider)))
            }
            Some((_, None)) => Endpoint::Simulator(self.simulator(provider)),
            // Reported above; the rest of it cannot be judged.
            None => Endpoint::Simulator(Simulator::default()),
        };
        Provider { name: name.value.clone(), endpoint }
    }

    pub(super) fn simulator(&mut self, provider: &file::Provider) -> Simulator {
        let headers = provider.headers.0.first().map(|(name, _)| name.place);
        self.foreign("base_url", place(&provider.base_url), "simulator");
        self.foreign("api_key", place(&provider.api_key), "simulator");
        self.foreign("headers", headers, "simulator");
        self.foreign_to_bedrock(provider, "simulator");
        for (key, place) in outbound::places(provider) {
            self.foreign(key, place, "simulator");
        }
        let default = Simulator::default();
        let rate = self.read(&provider.tokens_per_second, |text| {
            let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
            rate.ok_or_else(|| "a number above 0, such as `80`".to_owned())
        });
        let seed = self.read(&provider.seed, |text| {
            text.parse().map_err(|_| "a whole number, such as `1`".to_owned())
        });
        Simulator {
            tokens_per_second: rate.unwrap_or(default.tokens_per_second),
            seed: seed.unwrap_or(default.seed),
        }
    }

    pub(super) fn http(
        &mut self,
        dialect: Dialect,
        name: &At<String>,
        provider: &file::Provider,
    ) -> Http {
        let word = dialect.as_str();
        self.foreign("tokens_per_second", place(&provider.tokens_per_second), word);
        self.foreign("seed", place(&provider.seed), word);
        let (default, access_key) = match dialect {
            Dialect::Bedrock => self.bedrock(name, provider),
            _ => {
                self.foreign_to_bedrock(provider, word);
                (default_base_url(dialect).map(str::to_owned), None)
            }
        };
        let base_url = self.read(&provider.base_url, base_url).unwrap_or_else(|| {
            // Reported where there is none; the place is never called.
            let url = default.as_deref().unwrap_or("http://localhost");
            Url::parse(url).expect("a default base URL is a URL")
        });
        // Both would be found only by the first call.
        let advice = match dialect {
            Dialect::Anthropic if base_url.path().trim_end_matches('/').ends_with("/v1") => {
                Some("ends with /v1, which is added to it; leave it out")
            }
            Dialect::OpenAi | Dialect::Responses if base_url.path() == "/" => {
                Some("has no path, and OpenAI's own ends with /v1")
            }
            _ => None,
        };
        if let Some(advice) = advice {
            self.notes.push(format!("the base_url of the provider `{}` {advice}", name.value));
        }
        let mut http = Http::at(dialect, base_url);
        http.access_key = access_key;
        self.outbound(provider, &mut http);
        http
    }

    /// A key that another dialect has.
    pub(super) fn foreign(&mut self, key: &str, place: Option<Place>, dialect: &str) {
        if place.is_some() {
            let message = format!("`{key}` has no effect with `dialect: {dialect}`; take it out");
            self.wrong(place, message);
        }
    }
}
