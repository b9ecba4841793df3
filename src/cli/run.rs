//! `tokenway demo` and `tokenway serve`: a gateway until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use super::{Doors, Failure, say, systemd};
use crate::{
    config::{Config, Environment},
    gateway::{Gateway, Source},
};

/// How long the end of the process waits for threads that wait for the machine.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(1);

pub(super) fn demo(doors: Doors) -> Result<(), Failure> {
    run(Config::demo(), None, doors, "the demo, with a simulated provider")
}

pub(super) fn serve(file: Option<&Path>, doors: Doors) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let Some(file) = file else {
        let config = Config::from_env(&environment).map_err(|error| error.to_string())?;
        return run(config, None, doors, "serving");
    };
    let (http, webtransport) = (doors.http, doors.webtransport);
    let source = Source { file: file.to_owned(), environment, http, webtransport };
    let config = source.load().map_err(|error| error.to_string())?;
    run(config, Some(source), doors, "serving")
}

fn run(
    mut config: Config,
    source: Option<Source>,
    doors: Doors,
    what: &str,
) -> Result<(), Failure> {
    let listens = config.listen_on(doors.http, doors.webtransport);
    listens.map_err(|error| error.to_string())?;
    // Each connection is a file, and what a shell allows at first is some hundreds; the machine's own limit holds.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let state_dir = doors.state_dir.unwrap_or_else(default_state_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let ended = runtime.block_on(async {
        let notes = std::mem::take(&mut config.notes);
        let gateway = Gateway::bind(config, state_dir).await;
        let mut gateway = gateway.map_err(|error| error.to_string())?;
        source.into_iter().for_each(|source| gateway.follow(source));
        say(&format!("tokenway {}: {what}", env!("CARGO_PKG_VERSION")));
        let http = gateway.http_addr();
        let scheme = if gateway.has_tls() { "https" } else { "http" };
        say(&format!("  console        {scheme}://{}", friendly(http)));
        say(&format!("  for apps       OPENAI_BASE_URL={scheme}://{}/v1", friendly(http)));
        let webtransport = gateway.webtransport_addr();
        say(&format!("  webtransport   https://{webtransport}/v1/connect (UDP)"));
        let notes = notes.into_iter().chain(gateway.notes());
        notes.for_each(|note| say(&format!("  note: {note}")));
        let restarts = when_told(SignalKind::user_defined2(), gateway.webtransport_restart());
        let reloads = when_told(SignalKind::hangup(), gateway.reload());
        systemd::ready();
        tokio::select! {
            () = gateway.serve(told_to_stop()) => {}
            () = restarts => {}
            () = reloads => {}
            () = systemd::watchdog() => {}
        }
        Ok(())
    });
    // All that is to be done is done: whoever waits for a disk that does not come back is left behind.
    runtime.shutdown_timeout(LEFT_BEHIND_AFTER);
    ended
}

/// The address as people write it.
fn friendly(address: SocketAddr) -> String {
    // The rest of loopback has no name.
    match [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&address.ip()) {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}

/// SIGINT or SIGTERM. A second one ends the process at once.
#[expect(clippy::disallowed_methods, reason = "ends with the process")]
async fn told_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    systemd::stopping();
    say("tokenway: stopping; running generations get 10 s, a second signal ends them now");
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        process::exit(130);
    });
}

/// Passes a signal on. SIGHUP reads the config and the certificate again; SIGUSR2 shuts the WebTransport endpoint as a
/// crash would and opens it again, to see clients recover.
async fn when_told(kind: SignalKind, whom: Arc<Notify>) {
    let Ok(mut told) = signal(kind) else {
        return std::future::pending().await;
    };
    while told.recv().await.is_some() {
        whom.notify_one();
    }
    std::future::pending().await
}

/// `$XDG_STATE_HOME/tokenway`, else `~/.local/state/tokenway`.
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment, once")]
fn default_state_dir() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    base.or_else(home).unwrap_or_else(std::env::temp_dir).join("tokenway")
}

#[cfg(test)]
mod tests {
    use super::friendly;

    #[test]
    fn what_is_printed_can_be_reached() {
        for (address, printed) in [
            ("127.0.0.1:8080", "localhost:8080"),
            ("[::1]:8080", "localhost:8080"),
            ("127.0.0.2:8080", "127.0.0.2:8080"),
        ] {
            assert_eq!(friendly(address.parse().expect("an address")), printed);
        }
    }
}
