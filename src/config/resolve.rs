//! From the file as written to settings: puts the environment in, gives scalars their meaning, checks what belongs
//! together. Goes on after a fault, so that one run tells all of them.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};

use super::{
    AFTER_END_MIN, Access, Channels, Config, Endpoint, Environment, FRAME_INTERVAL_MAX, GRACE,
    Listen, MAX_BYTES_MIN, Model, OPENAI_BASE_URL, OnDisconnect, OpenAi, Provider, Public,
    Retention, Secret, Simulator, Store, Target, Timeouts, file,
    file::File,
    located::{At, Entries, Given},
    problem::{Place, Problem, choice, list},
    units,
};

/// The dialects of this version.
const DIALECTS: [&str; 2] = ["openai", "simulator"];
/// Dialects to come.
const DIALECTS_LATER: [&str; 5] = ["responses", "anthropic", "gemini", "ollama", "bedrock"];
const POLICIES: [&str; 3] = ["cancel", "grace", "drain"];
const ENGINES_LATER: [&str; 2] = ["disk", "jetstream"];
/// Long enough for any name, short enough for a header and a metric's label.
const NAME_BYTES_MAX: usize = 64;

/// The settings, or everything that is wrong.
pub(super) fn config(file: File, environment: &Environment) -> Result<Config, Vec<Problem>> {
    let mut resolver = Resolver { environment, problems: Vec::new() };
    let config = resolver.config(file);
    match resolver.problems.is_empty() {
        true => Ok(config),
        false => Err(resolver.problems),
    }
}

/// Why an address must not be listened on, if so.
pub(super) fn exposure(address: SocketAddr) -> Option<String> {
    (!address.ip().is_loopback()).then(|| {
        format!(
            "`{address}` can be reached from other machines, and without `access.keys` the gateway is open to \
             all who reach it; listen on loopback, such as `127.0.0.1:{}`",
            address.port()
        )
    })
}

/// A URL under which paths can be put. The error says what would be right.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let expected = || "a URL such as `https://api.openai.com/v1`".to_owned();
    let mut url = http_url(text).ok_or_else(expected)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a URL without `?` and `#`, since paths are put after it".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without a user; put the key under `api_key`".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether it can be sent in a header.
pub(super) fn is_header_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

struct Resolver<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn config(&mut self, file: File) -> Config {
        self.version(&file.version);
        self.not_yet("tls", &file.tls);
        let providers: Vec<_> =
            file.providers.0.iter().map(|(name, provider)| self.provider(name, provider)).collect();
        if providers.is_empty() {
            let message = "`providers` is missing; give at least one, such as `providers: { sim: { \
                           dialect: simulator } }`";
            self.wrong(None, message);
        }
        let channels = self.channels(&file.channels);
        let names: Vec<_> = providers.iter().map(|provider| provider.name.clone()).collect();
        if file.models.0.is_empty() && !providers.is_empty() {
            let message = format!(
                "`models` is missing, so no call could be routed; to pass every name through, write `models: {{ \
                 \"*\": {{ targets: [{{ provider: {} }}] }} }}`",
                names[0]
            );
            self.wrong(None, message);
        }
        let models = file.models.0.iter();
        let models = models
            .map(|(name, model)| self.model(name, model, &names, channels.on_disconnect))
            .collect();
        Config {
            listen: self.listen(&file.listen),
            providers,
            models,
            channels,
            store: self.store(&file.store),
            access: self.access(&file.access),
            notes: Vec::new(),
        }
    }

    fn version(&mut self, version: &Given<String>) {
        match self.text(version) {
            Some(text) if text.value.trim() != "1" => {
                self.wrong(Some(text.place), "this version of tokenway reads `version: 1`");
            }
            None if version.0.is_none() => {
                self.wrong(None, "`version` is missing; write `version: 1`");
            }
            _ => {}
        }
    }

    fn listen(&mut self, listen: &file::Listen) -> Listen {
        let default = Listen::default();
        let mut address = |given, default| {
            let address = self.read(given, |text| match text.strip_prefix("localhost:") {
                Some(port) => Err(format!("an address in digits, `127.0.0.1:{port}`")),
                None => text.parse().map_err(|_| "an address such as `127.0.0.1:8080`".to_owned()),
            });
            let place = given.0.as_ref().map(|given| given.place);
            if let Some(fault) = address.and_then(exposure) {
                self.wrong(place, fault);
            }
            address.unwrap_or(default)
        };
        Listen {
            http: address(&listen.http, default.http),
            webtransport: address(&listen.webtransport, default.webtransport),
            public: Public {
                http: self.read(&listen.public.http, |text| {
                    http_url(text)
                        .ok_or_else(|| "a URL such as `https://gateway.example`".to_owned())
                }),
                webtransport: self.read(&listen.public.webtransport, |text| {
                    http_url(text).filter(|url| url.scheme() == "https").ok_or_else(|| {
                        "an https URL such as `https://gateway.example:4433`".to_owned()
                    })
                }),
            },
        }
    }

    fn provider(&mut self, name: &At<String>, provider: &file::Provider) -> Provider {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.value.len()) || !name.value.bytes().all(allowed) {
            let message = "a provider's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -";
            self.wrong(Some(name.place), message);
        }
        let dialect = self.read(&provider.dialect, |text| match text {
            "openai" | "simulator" => Ok(text.to_owned()),
            later if DIALECTS_LATER.contains(&later) => {
                Err(format!("available in this version; there are {}", list(&DIALECTS)))
            }
            other => Err(format!("a dialect; {}", choice(other, &DIALECTS))),
        });
        if provider.dialect.0.is_none() {
            let message =
                format!("`{}` has no `dialect`; there are {}", name.value, list(&DIALECTS));
            self.wrong(Some(name.place), message);
        }
        let endpoint = match dialect.as_deref() {
            Some("simulator") => Endpoint::Simulator(self.simulator(provider)),
            Some(_) => Endpoint::OpenAi(self.openai(provider)),
            // Reported above; the rest of it cannot be judged.
            None => Endpoint::Simulator(Simulator::default()),
        };
        Provider { name: name.value.clone(), endpoint }
    }

    fn simulator(&mut self, provider: &file::Provider) -> Simulator {
        let headers = provider.headers.0.first().map(|(name, _)| name.place);
        self.foreign("base_url", place(&provider.base_url), "simulator");
        self.foreign("api_key", place(&provider.api_key), "simulator");
        self.foreign("headers", headers, "simulator");
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

    fn openai(&mut self, provider: &file::Provider) -> OpenAi {
        self.foreign("tokens_per_second", place(&provider.tokens_per_second), "openai");
        self.foreign("seed", place(&provider.seed), "openai");
        let base_url = self.read(&provider.base_url, base_url);
        let base_url = base_url
            .unwrap_or_else(|| Url::parse(OPENAI_BASE_URL).expect("the default base URL is a URL"));
        let api_key = self.text(&provider.api_key).and_then(|key| {
            let key_is_sendable = !key.value.trim().is_empty() && is_header_value(&key.value);
            if !key_is_sendable {
                let message = "`api_key` is empty or holds characters that cannot be sent; for a \
                               provider without a key, take `api_key` out";
                self.wrong(Some(key.place), message);
            }
            key_is_sendable.then(|| Secret::new(key.value))
        });
        OpenAi { base_url, api_key, headers: self.headers(&provider.headers) }
    }

    fn headers(&mut self, headers: &Entries<At<String>>) -> Vec<(HeaderName, HeaderValue)> {
        let mut all = Vec::new();
        for (name, value) in &headers.0 {
            let header = HeaderName::try_from(&name.value).ok();
            if header.is_none() {
                self.wrong(Some(name.place), format!("`{}` is not a header's name", name.value));
            }
            let Some(expanded) = self.expand(value) else { continue };
            let value_as_header = HeaderValue::from_str(&expanded).ok();
            if value_as_header.is_none() {
                let message = format!("the value of `{}` cannot be sent in a header", name.value);
                self.wrong(Some(value.place), message);
            }
            if let (Some(header), Some(mut value)) = (header, value_as_header) {
                value.set_sensitive(true);
                all.push((header, value));
            }
        }
        all
    }

    fn model(
        &mut self,
        name: &At<String>,
        model: &file::Model,
        providers: &[String],
        on_disconnect: OnDisconnect,
    ) -> Model {
        let text = &name.value;
        if text.is_empty() || text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            self.wrong(Some(name.place), "a model's name is not empty and has no spaces");
        }
        let stem = text.strip_suffix('*');
        let stem_ok = stem.is_none_or(|stem| stem.is_empty() || stem.ends_with('/'));
        if !stem_ok || stem.unwrap_or(text).contains('*') {
            let message = format!("`{text}` is not a pattern; there are `prefix/*` and `*`");
            self.wrong(Some(name.place), message);
        }
        if model.targets.is_empty() {
            let message = format!(
                "`{text}` has no targets; give at least one, such as `targets: [{{ provider: {} }}]`",
                providers.first().map_or("NAME", String::as_str)
            );
            self.wrong(Some(name.place), message);
        }
        let targets = model.targets.iter().map(|target| self.target(target, providers)).collect();
        Model {
            name: text.clone(),
            targets,
            timeouts: self.timeouts(&model.timeouts),
            on_disconnect: self.on_disconnect(&model.on_disconnect).unwrap_or(on_disconnect),
        }
    }

    fn target(&mut self, target: &At<file::Target>, providers: &[String]) -> Target {
        let At { value: target, place } = target;
        let provider = self.read(&target.provider, |text| {
            match providers.iter().any(|provider| provider == text) {
                true => Ok(text.to_owned()),
                false => Err(format!("a configured provider; {}", choice(text, providers))),
            }
        });
        if target.provider.0.is_none() {
            let message = format!("the target names no `provider`; there are {}", list(providers));
            self.wrong(Some(*place), message);
        }
        let model = self.read(&target.model, |text| match text.trim().is_empty() {
            true => Err("the model's name at the provider".to_owned()),
            false => Ok(text.to_owned()),
        });
        let weight = self.read(&target.weight, |text| {
            text.parse::<NonZeroU32>().map_err(|_| {
                "a whole number from 1; without `weight`, the target only takes over".to_owned()
            })
        });
        Target { provider: provider.unwrap_or_default(), model, weight }
    }

    fn timeouts(&mut self, timeouts: &file::Timeouts) -> Timeouts {
        let default = Timeouts::default();
        let mut read = |given, default| {
            let some = |text: &str| match units::duration(text)? {
                Duration::ZERO => Err("a duration of more than nothing".to_owned()),
                duration => Ok(duration),
            };
            self.read(given, some).unwrap_or(default)
        };
        Timeouts {
            connect: read(&timeouts.connect, default.connect),
            first_token: read(&timeouts.first_token, default.first_token),
            idle: read(&timeouts.idle, default.idle),
            total: read(&timeouts.total, default.total),
            silent: read(&timeouts.silent, default.silent),
        }
    }

    fn channels(&mut self, channels: &file::Channels) -> Channels {
        let default = Channels::default();
        let frame_interval = self.read(&channels.frame_interval, |text| {
            let interval = units::duration(text)?;
            let allowed = interval <= FRAME_INTERVAL_MAX;
            allowed.then_some(interval).ok_or_else(|| "a duration of at most `500ms`".to_owned())
        });
        let keep_alive = self.read(&channels.keep_alive, |text| match units::duration(text)? {
            short if short < Duration::from_secs(1) => Err("a duration from `1s`".to_owned()),
            duration => Ok(duration),
        });
        let sse_ids = self.read(&channels.sse_ids, |text| {
            text.parse().map_err(|_| "`true` or `false`".to_owned())
        });
        Channels {
            frame_interval: frame_interval.unwrap_or(default.frame_interval),
            retention: self.retention(&channels.retention),
            on_disconnect: self.on_disconnect(&channels.on_disconnect).unwrap_or_default(),
            sse_ids: sse_ids.unwrap_or(default.sse_ids),
            keep_alive: keep_alive.unwrap_or(default.keep_alive),
        }
    }

    fn retention(&mut self, retention: &file::Retention) -> Retention {
        let default = Retention::default();
        let after_end = self.read(&retention.after_end, |text| match units::duration(text)? {
            short if short < AFTER_END_MIN => Err("a duration from `1s`".to_owned()),
            duration => Ok(duration),
        });
        let max_bytes = self.read(&retention.max_bytes, |text| match units::size(text)? {
            small if small < MAX_BYTES_MIN => Err("a size from `512KiB`".to_owned()),
            bytes => Ok(bytes),
        });
        Retention {
            after_end: after_end.unwrap_or(default.after_end),
            max_bytes: max_bytes.unwrap_or(default.max_bytes),
        }
    }

    fn on_disconnect(&mut self, given: &file::OnDisconnect) -> Option<OnDisconnect> {
        let grace = self.read(&given.grace, units::duration);
        let policy = self.read(&given.policy, |text| match POLICIES.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!("a policy; {}", choice(text, &POLICIES))),
        });
        let grace_at = given.grace.0.as_ref().map(|grace| grace.place);
        match policy.as_deref() {
            Some("grace") => Some(OnDisconnect::Grace(grace.unwrap_or(GRACE))),
            Some(other) => {
                if grace_at.is_some() {
                    let message =
                        format!("`grace` has no effect with `policy: {other}`; take it out");
                    self.wrong(grace_at, message);
                }
                let cancel = other == "cancel";
                Some(if cancel { OnDisconnect::Cancel } else { OnDisconnect::Drain })
            }
            None => {
                if given.policy.0.is_none() && grace_at.is_some() {
                    self.wrong(grace_at, "`grace` needs `policy: grace` beside it");
                }
                None
            }
        }
    }

    fn store(&mut self, store: &file::Store) -> Store {
        self.read(&store.engine, |text| match text {
            "memory" => Ok(()),
            later if ENGINES_LATER.contains(&later) => {
                Err("available in this version; there is `memory`".to_owned())
            }
            _ => Err("an engine; there is `memory`".to_owned()),
        });
        self.not_yet("store.path", &store.path);
        self.not_yet("store.url", &store.url);
        Store::Memory
    }

    fn access(&mut self, access: &file::Access) -> Access {
        self.not_yet("access.keys", &access.keys);
        self.not_yet("access.token_secret", &access.token_secret);
        let mut origins = Vec::new();
        for given in &access.allowed_origins {
            let given = Given(Some(given.clone()));
            origins.extend(self.read(&given, |text| {
                let url = http_url(text).filter(|url| {
                    url.path() == "/" && url.query().is_none() && url.fragment().is_none()
                });
                let expected =
                    || "an origin such as `https://app.example`, without a path".to_owned();
                url.map(|url| url.origin().ascii_serialization()).ok_or_else(expected)
            }));
        }
        Access { allowed_origins: origins }
    }

    /// A scalar's meaning, if it is given and has one. `meaning`'s error completes the sentence "it is not …".
    fn read<T>(
        &mut self,
        given: &Given<String>,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = given.0.as_ref()?;
        let expanded = self.expand(given)?;
        let fault = match meaning(&expanded) {
            Ok(value) => return Some(value),
            Err(expected) => expected,
        };
        // As written in the file: what came from the environment may be a secret.
        self.wrong(Some(given.place), format!("`{}` is not {fault}", given.value));
        None
    }

    fn text(&mut self, given: &Given<String>) -> Option<At<String>> {
        let given = given.0.as_ref()?;
        let value = self.expand(given)?;
        Some(At { value, place: given.place })
    }

    fn expand(&mut self, text: &At<String>) -> Option<String> {
        match self.environment.expand(&text.value) {
            Ok(expanded) => Some(expanded),
            Err(fault) => {
                self.wrong(Some(text.place), fault);
                None
            }
        }
    }

    fn not_yet<T>(&mut self, key: &str, given: &Given<T>) {
        if let Some(place) = place(given) {
            self.wrong(
                Some(place),
                format!("`{key}` is not available in this version; take it out"),
            );
        }
    }

    /// A key that another dialect has.
    fn foreign(&mut self, key: &str, place: Option<Place>, dialect: &str) {
        if place.is_some() {
            let message = format!("`{key}` has no effect with `dialect: {dialect}`; take it out");
            self.wrong(place, message);
        }
    }

    fn wrong(&mut self, place: Option<Place>, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into() });
    }
}

fn place<T>(given: &Given<T>) -> Option<Place> {
    given.0.as_ref().map(|given| given.place)
}
