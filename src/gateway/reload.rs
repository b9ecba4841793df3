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
    /// What was taken up last, as it is written.
    pub(super) written: Config,
    /// What is served by now: the same, but for what waits for a restart.
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
            Ok(config) if config == self.written => return,
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

    async fn take(&mut self, written: Config) -> Result<(), String> {
        let mut config = written.clone();
        let later = wait_for_restart(&mut config, &self.config);
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
        let app = self.current.app();
        let parts = parts(&config, &self.lasting, Some((&self.config, &app)));
        if let (Some(tls), Some(certificate)) = (&self.lasting.tls, certificate) {
            tls.replace(certificate);
        }
        self.lasting.channels.retain(super::retention(&config));
        self.lasting.seats.limit(config.limits.clone());
        parts.access.come_into_force();
        self.current.replace(app.renewed(parts));
        (self.written, self.config) = (written, config);
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

/// Sets what cannot be changed under way to what runs, and names it.
fn wait_for_restart(config: &mut Config, running: &Config) -> Vec<&'static str> {
    let mut later = Vec::new();
    fn keep<T: Clone + PartialEq>(written: &mut T, runs: &T) -> bool {
        let differs = written != runs;
        if differs {
            written.clone_from(runs);
        }
        differs
    }
    let mut keeps = |key, differs: bool| later.extend(differs.then_some(key));
    keeps("listen", keep(&mut config.listen, &running.listen));
    // One operator's certificate takes another's place.
    let both_files = files(config).is_some() && files(running).is_some();
    keeps("tls", !both_files && keep(&mut config.tls, &running.tls));
    keeps("store", keep(&mut config.store, &running.store));
    keeps("telemetry", keep(&mut config.telemetry, &running.telemetry));
    let limits = config.limits.with_connections_of(&running.limits);
    keeps("limits of connections", keep(&mut config.limits, &limits));
    later
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;

    #[test]
    fn what_a_restart_is_needed_for_is_named_and_goes_on_as_it_runs() {
        let running = Config::demo();
        let mut written = running.clone();
        written.channels.sse_ids = false;
        let mut config = written.clone();
        assert_eq!(wait_for_restart(&mut config, &running), Vec::<&str>::new());
        assert_eq!(config, written);
        written.listen.http.set_port(1);
        written.limits.headers = 1;
        written.limits.body = 1;
        let mut config = written.clone();
        assert_eq!(wait_for_restart(&mut config, &running), ["listen", "limits of connections"]);
        assert_eq!((&config.listen, config.limits.body), (&running.listen, 1));
        assert_eq!(config.limits.headers, running.limits.headers);
        // It still waits when something else changes, and not when it is taken back.
        let mut config = written.clone();
        assert_eq!(wait_for_restart(&mut config, &running).len(), 2);
        written.listen = running.listen.clone();
        written.limits.headers = running.limits.headers;
        assert!(wait_for_restart(&mut written, &running).is_empty());
    }

    #[test]
    fn a_certificate_of_files_takes_the_place_of_another_and_of_nothing_else() {
        let file = |name: &str| Tls::Files(TlsFiles { cert: name.into(), key: "key.pem".into() });
        let with = |tls| Config { tls, ..Config::demo() };
        let running = with(Some(file("one.pem")));
        let mut config = with(Some(file("two.pem")));
        assert!(wait_for_restart(&mut config, &running).is_empty());
        assert_eq!(config.tls, Some(file("two.pem")));
        let running = with(None);
        assert_eq!(wait_for_restart(&mut config, &running), ["tls"]);
        assert_eq!(config.tls, None);
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
