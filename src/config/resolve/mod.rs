//! From the file as written to settings: puts the environment in, gives scalars their meaning, checks what belongs
//! together. Goes on after a fault, so that one run tells all of them.

mod access;
mod bedrock;
mod budgets;
mod channels;
mod doors;
mod limits;
mod model;
mod outbound;
mod price;
mod provider;
mod store;
mod telemetry;

use std::path::Path;

use reqwest::Url;

pub(super) use bedrock::{base_url_in, is_region};
pub(super) use doors::exposure;
pub(super) use provider::{base_url, is_header_value};
pub(super) use telemetry::of_environment as telemetry_of;

use super::{
    Config, Endpoint, Environment, Provider,
    file::File,
    located::{At, Given},
    problem::{Place, Problem},
};

/// The settings, or everything that is wrong.
pub(super) fn config(
    file: File,
    environment: &Environment,
    directory: &Path,
) -> Result<Config, Vec<Problem>> {
    let mut resolver = Resolver { environment, directory, problems: Vec::new(), notes: Vec::new() };
    let config = resolver.config(file);
    match resolver.problems.is_empty() {
        true => Ok(config),
        false => Err(resolver.problems),
    }
}

struct Resolver<'a> {
    environment: &'a Environment,
    /// Where the file is.
    directory: &'a Path,
    problems: Vec<Problem>,
    /// What is not wrong, and worth saying.
    notes: Vec<String>,
}

impl Resolver<'_> {
    fn config(&mut self, file: File) -> Config {
        self.version(&file.version);
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
        let models: Vec<_> = models
            .map(|(name, model)| self.model(name, model, &names, channels.on_disconnect))
            .collect();
        let prices = file.prices.0.iter();
        let prices: Vec<_> =
            prices.map(|(name, price)| self.price(name, price, &names, &models)).collect();
        let access = self.access(&file.access, &models);
        let mut notes: Vec<_> = proxy_note(&providers, self.environment).into_iter().collect();
        notes.append(&mut self.notes);
        notes.extend(budgets::notes(&access.keys, &models, &prices));
        Config {
            listen: self.listen(&file.listen, file.access.keys.is_empty()),
            tls: self.tls(&file.tls),
            providers,
            models,
            prices,
            channels,
            store: self.store(&file.store),
            limits: self.limits(&file.limits),
            access,
            telemetry: self.telemetry(&file.telemetry),
            notes,
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

    fn wrong(&mut self, place: Option<Place>, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into() });
    }
}

/// Other programs go by these variables: whoever set one should know that providers are called without it.
pub(super) fn proxy_note(providers: &[Provider], environment: &Environment) -> Option<String> {
    let direct = |provider: &Provider| match &provider.endpoint {
        Endpoint::Http(http) => http.proxy.is_none(),
        Endpoint::Simulator(_) => false,
    };
    let variables =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let set = variables.into_iter().find(|name| environment.filled(name).is_some())?;
    let note = "is set and not read: providers are called directly, unless the config gives them a `proxy`";
    providers.iter().any(direct).then(|| format!("{set} {note}"))
}

fn place<T>(given: &Given<T>) -> Option<Place> {
    given.0.as_ref().map(|given| given.place)
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
