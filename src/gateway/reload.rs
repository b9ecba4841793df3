//! Takes up a changed config or certificate while everything goes on: whole, or not at all.
//!
//! Files are looked at by their time and size every two seconds, which also sees what is swapped by links, as Kubernetes does
//! it, and on every file system; a signal asks at once. What runs goes on under the config that it began with. What only a
//! restart can change is said and left as it is.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Lasting, current::Current, parts, tls};
use crate::config::{self, Config, ConfigError, Environment, TlsFiles};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where a config comes from, so that it can be read again.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// For `${NAME}`; of the process as it began.
    pub environment: Environment,
    /// Where to listen for HTTP, over the file's word.
    pub http: Option<SocketAddr>,
    /// Where to listen for WebTransport, over the file's word.
    pub webtransport: Option<SocketAddr>,
}

impl Source {
    /// Reads it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(&self.file, &self.environment)?;
        config.listen_on(self.http, self.webtransport)?;
        Ok(config)
    }
}

/// What keeps a gateway up to date.
pub(super) struct Reload {
    pub(super) source: Option<Source>,
    /// What is served by now.
    pub(super) config: Config,
    pub(super) current: Current,
    pub(super) lasting: Arc<Lasting>,
    /// Asks for everything to be read at once.
    pub(super) now: Arc<Notify>,
}

/// What tells one state of a file from another.
type Print = Option<(SystemTime, u64)>;

fn print(file: &Path) -> Print {
    let told = fs::metadata(file).ok()?;
    Some((told.modified().ok()?, told.len()))
}

impl Reload {
    /// Until closing.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let (mut file, mut certificate) = (self.file_print(), self.certificate_print());
        loop {
            let told = tokio::select! {
                () = closing.cancelled() => return,
                () = self.now.notified() => true,
                _ = looks.tick() => false,
            };
            if let Some(log) = self.lasting.telemetry.access_log.as_ref().filter(|_| told) {
                log.reopen();
            }
            let now = self.file_print();
            if told || now != file {
                file = now;
                self.read_config().await;
            }
            let now = self.certificate_print();
            if told || now != certificate {
                certificate = now;
                self.read_certificate().await;
            }
        }
    }

    fn file_print(&self) -> Print {
        self.source.as_ref().and_then(|source| print(&source.file))
    }

    fn certificate_print(&self) -> [Print; 2] {
        let files = files(&self.config);
        files.map(|files| [print(&files.cert), print(&files.key)]).unwrap_or_default()
    }

    async fn read_config(&mut self) {
        let Some(source) = &self.source else { return };
        let taken = match source.load() {
            Ok(config) if config == self.config => return,
            Ok(config) => self.take(config).await,
            Err(error) => Err(error.to_string()),
        };
        let outcome = match taken {
            Ok(()) => "taken",
            Err(error) => {
                tracing::error!(error, "the changed config is refused; the last one goes on");
                "refused"
            }
        };
        self.lasting.telemetry.metrics.config_reloads.with([outcome]).inc();
    }

    async fn take(&mut self, config: Config) -> Result<(), String> {
        // First whatever can fail.
        if let Some(address) = exposed(&config, &self.lasting.bound) {
            return Err(format!(
                "without `access.keys` the gateway is open to all who reach it, and it listens on {address}, which can \
                 be reached from other machines"
            ));
        }
        let certificate = match (files(&config), files(&self.config)) {
            (Some(files), Some(before)) if files != before => Some(tls::load(files).await?),
            _ => None,
        };
        let later = needs_restart(&self.config, &config);
        let app = self.current.app();
        let parts = parts(&config, &self.lasting, Some((&self.config, &app)));
        if let (Some(tls), Some(certificate)) = (&self.lasting.tls, certificate) {
            tls.replace(certificate);
        }
        self.lasting.channels.retain(super::retention(&config));
        self.lasting.seats.limit(config.limits.clone());
        parts.access.come_into_force();
        self.current.replace(app.renewed(parts));
        self.config = config;
        match later.is_empty() {
            true => tracing::info!("the changed config is taken up"),
            false => tracing::warn!(
                keys = later.join(", "),
                "the changed config is taken up, but for these keys, which wait for a restart"
            ),
        }
        Ok(())
    }

    async fn read_certificate(&self) {
        let (Some(files), Some(tls)) = (files(&self.config), &self.lasting.tls) else { return };
        let reloads = &self.lasting.telemetry.metrics.certificate_reloads;
        match tls::load(files).await {
            Ok(certificate) => {
                tls.replace(certificate);
                reloads.with(["taken"]).inc();
                tracing::info!("the changed certificate is taken up");
            }
            Err(error) => {
                reloads.with(["refused"]).inc();
                tracing::error!(error, "the changed certificate is refused; the last one goes on");
            }
        }
    }
}

/// The operator's certificate: what an authority gives is looked after elsewhere.
fn files(config: &Config) -> Option<&TlsFiles> {
    match config.tls.as_ref()? {
        config::Tls::Files(files) => Some(files),
        config::Tls::Acme(_) => None,
    }
}

/// A listener that stays, and that strangers reach, where nobody would be asked for a key any more.
fn exposed(config: &Config, bound: &[SocketAddr]) -> Option<SocketAddr> {
    let open = config.access.keys.is_empty();
    bound.iter().copied().find(|address| open && !address.ip().is_loopback())
}

/// The keys that differ and cannot be changed under way.
fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let differs = [
        ("listen", before.listen != after.listen),
        ("tls", before.tls != after.tls && !(files(before).is_some() && files(after).is_some())),
        ("store", before.store != after.store),
        ("telemetry", before.telemetry != after.telemetry),
        ("limits of connections", !before.limits.same_for_connections(&after.limits)),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restart_is_needed_for_is_named() {
        let before = Config::demo();
        let mut after = before.clone();
        after.channels.sse_ids = false;
        assert_eq!(needs_restart(&before, &after), Vec::<&str>::new());
        after.listen.http.set_port(1);
        assert_eq!(needs_restart(&before, &after), ["listen"]);
    }

    #[test]
    fn a_listener_that_strangers_reach_does_not_become_open() {
        let config = Config::demo();
        let [inside, outside] =
            ["127.0.0.1:1", "10.0.0.1:1"].map(|it| it.parse().expect("an address"));
        assert_eq!(exposed(&config, &[inside]), None);
        assert_eq!(exposed(&config, &[inside, outside]), Some(outside));
    }
}
