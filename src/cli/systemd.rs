//! What systemd is told, where it started the process (`Type=notify`); elsewhere all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The gateway serves.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// It has begun to stop.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says that the runtime lives, twice as often as is asked for (`WatchdogSec`): where its tasks no longer run, it is silent.
pub(super) async fn watchdog() {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| *within > Duration::ZERO)
    else {
        return std::future::pending().await;
    };
    let mut beats = tokio::time::interval(within / 2);
    loop {
        beats.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}
