//! `tokenway demo` and `tokenway serve`: a gateway until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use super::{Doors, Failure, say};
use crate::{
    config::{Config, Environment},
    gateway::Gateway,
};

pub(super) fn demo(doors: Doors) -> Result<(), Failure> {
    run(Config::demo(), doors, "the demo, with a simulated provider")
}

pub(super) fn serve(file: Option<&Path>, doors: Doors) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let config = match file {
        Some(file) => Config::load(file, &environment),
        None => Config::from_env(&environment),
    };
    run(config.map_err(|error| error.to_string())?, doors, "serving")
}

fn run(mut config: Config, doors: Doors, what: &str) -> Result<(), Failure> {
    let listens = config.listen_on(doors.http, doors.webtransport);
    listens.map_err(|error| error.to_string())?;
    let state_dir = doors.state_dir.unwrap_or_else(default_state_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let notes = std::mem::take(&mut config.notes);
        let gateway = Gateway::bind(config, state_dir).await.map_err(|error| error.to_string())?;
        say(&format!("tokenway {}: {what}", env!("CARGO_PKG_VERSION")));
        let http = gateway.http_addr();
        say(&format!("  console        http://{}", friendly(http)));
        say(&format!("  for apps       OPENAI_BASE_URL=http://{}/v1", friendly(http)));
        let webtransport = gateway.webtransport_addr();
        say(&format!("  webtransport   https://{webtransport}/v1/connect (UDP)"));
        notes.iter().for_each(|note| say(&format!("  note: {note}")));
        let restarts = restart_when_told(gateway.webtransport_restart());
        tokio::select! {
            () = gateway.serve(told_to_stop()) => {}
            () = restarts => {}
        }
        Ok(())
    })
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
    say("tokenway: stopping; running generations get 10 s, a second signal ends them now");
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        process::exit(130);
    });
}

/// SIGUSR2 shuts the WebTransport endpoint as a crash would and opens it again, to see clients recover.
async fn restart_when_told(restart: Arc<Notify>) {
    let Ok(mut told) = signal(SignalKind::user_defined2()) else {
        return std::future::pending().await;
    };
    while told.recv().await.is_some() {
        restart.notify_one();
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
