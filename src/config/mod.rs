//! The config: a YAML file, or the environment alone, or the demo's, made into checked and typed [settings](Config).
//!
//! Nothing in it is silently ignored: an unknown key, a key without effect and a key of a later version are errors, and
//! every error says where it is and what would be right. Reading is a pure function of the text, the environment and the
//! files that the text names (certificates, keys); the settings import nothing of the stages that they are for.

mod access;
mod environment;
mod file;
mod limits;
mod located;
mod preset;
mod problem;
mod resolve;
mod schema;
mod secret;
mod settings;
mod shown;
mod units;
mod usual;

use std::{fs, net::SocketAddr, path::Path};

pub use environment::Environment;
pub use preset::DEMO_MODELS;
pub use problem::{ConfigError, Place, Problem};
pub use schema::schema;
pub use secret::Secret;
pub use settings::*;
pub use units::duration;

impl Config {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let source = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::one(&source, format!("cannot be read: {error}")))?;
        Self::parse(&source, &text, environment)
    }

    /// Reads a text; `source` is what errors call it, and files that the text names are looked for beside it.
    ///
    /// ```
    /// use tokenway::config::{Config, Environment};
    ///
    /// let text = "
    /// version: 1
    /// providers: { sim: { dialect: simulator, tokens_per_sec: 80 } }
    /// models: { chat: { targets: [{ provider: sim, model: sim-text }] } }
    /// ";
    /// let error = Config::parse("gateway.yaml", text, &Environment::default()).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "gateway.yaml:3:41: unknown key `tokens_per_sec`; did you mean `tokens_per_second`?",
    /// );
    /// ```
    pub fn parse(source: &str, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ConfigError::yaml(source, &error))?;
        let directory = Path::new(source).parent().unwrap_or(Path::new(""));
        resolve::config(file, environment, directory)
            .map_err(|problems| ConfigError::new(source, problems))
    }

    /// Listens elsewhere than the config says, as the command line may ask.
    pub fn listen_on(
        &mut self,
        http: Option<SocketAddr>,
        webtransport: Option<SocketAddr>,
    ) -> Result<(), ConfigError> {
        for (option, address) in [("--http", http), ("--webtransport", webtransport)] {
            let open = self.access.keys.is_empty();
            let fault = address.filter(|_| open).and_then(resolve::exposure);
            fault.map_or(Ok(()), |fault| Err(ConfigError::one(option, fault)))?;
        }
        self.listen.http = http.unwrap_or(self.listen.http);
        self.listen.webtransport = webtransport.unwrap_or(self.listen.webtransport);
        Ok(())
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }
}

impl Default for Listen {
    fn default() -> Self {
        let parse = |text: &str| text.parse().expect("default addresses are addresses");
        Self { http: parse(HTTP), webtransport: parse(WEBTRANSPORT), public: Public::default() }
    }
}
