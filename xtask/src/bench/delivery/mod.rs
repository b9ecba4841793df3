//! Delivery to viewers, who are this process: what a frame costs, how late it is and how large.
//!
//! Generations are started detached, so that no app's own stream is in the figures. CPU is the gateway's over a window of
//! time, less what the same load takes with nobody watching, for each frame that arrived in that window.

mod bare;
mod door;
mod rows;
mod viewers;
mod websocket;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use self::{
    bare::Bare,
    door::Door,
    rows::{Bound, Row},
    viewers::{By, Viewers},
};
use super::{figures::quantile, upstream::Shape};
use crate::{gateway::Gateway, process};

/// 80 tokens a second, as a fast model speaks.
const PACE: Duration = Duration::from_micros(12_500);
/// How long CPU time and frames are counted.
const WINDOW: Duration = Duration::from_secs(4);
/// From the start of a load until it is even.
const SETTLE: Duration = Duration::from_millis(700);

const NEAR: usize = 8;
const ON_ONE_SESSION: usize = 50;
const SESSIONS: usize = 100;
const SOCKETS: usize = 1_000;

/// What Node's `ws` takes for a frame (DESIGN.md, section 6).
const NODE_WS_MICROS: f64 = 9.4;

/// A table, measured on a gateway of its own, in front of an upstream whose stamps count from `begun`.
pub(super) fn measure(root: &Path, upstream: SocketAddr, begun: Instant) -> Result<String, String> {
    let place = root.join("target/bench");
    fs::create_dir_all(&place).map_err(|why| format!("{}: {why}", place.display()))?;
    let (config, state) = (place.join("delivery.yaml"), place.join("state"));
    fs::write(&config, yaml(upstream)).map_err(|why| why.to_string())?;
    let (config, state) = (config.display().to_string(), state.display().to_string());
    let arguments = ["serve", "--config", &config, "--state-dir", &state];
    let gateway = Gateway::start(&root.join("target/release/tokenway"), &arguments)?;
    let ground = Ground { door: Door::find(gateway.http)?, gateway, begun };
    let mut rows = ground.latency()?;
    rows.extend(ground.sizes()?);
    rows.extend(ground.cost()?);
    Ok(rows::table(&rows))
}

fn yaml(upstream: SocketAddr) -> String {
    format!(
        "version: 1
providers:
  bench: {{ dialect: openai, base_url: \"http://{upstream}/v1\" }}
models:
  bench: {{ targets: [ {{ provider: bench, model: bench }} ] }}
"
    )
}

struct Ground {
    gateway: Gateway,
    door: Door,
    begun: Instant,
}

impl Ground {
    /// Starts generations that speak for so long, each on a channel of its own, out of step with each other.
    fn speak(
        &self,
        name: &str,
        count: usize,
        time: Duration,
        plain: bool,
    ) -> Result<Vec<String>, String> {
        let tokens = (time.as_secs_f64() / PACE.as_secs_f64()) as u32;
        let shape = Shape { tokens, interval: PACE, batch: 1, plain };
        let channels: Vec<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
        for channel in &channels {
            self.door.speak(channel, shape)?;
            thread::sleep(PACE / count as u32);
        }
        Ok(channels)
    }

    /// Publish to receipt: some channels on one session of the crate's own client.
    fn latency(&self) -> Result<Vec<Row>, String> {
        let channels = self.speak("near", NEAR, SETTLE + WINDOW, false)?;
        let from = self.begun.elapsed() + SETTLE;
        let late = viewers::latencies(&self.door, &channels, self.begun, from)?;
        let millis = |share| quantile(&late, share);
        let (half, whole) = (16.0 / 2.0 + 2.0, 16.0 + 10.0);
        Ok(vec![
            Row::new("publish to receive, p50", millis(0.5), "ms", Bound::AtMost(half)),
            Row::new("publish to receive, p99", millis(0.99), "ms", Bound::AtMost(whole)),
        ])
    }

    /// Bytes of frames for tokens of four bytes, live and as a late viewer's catch-up.
    fn sizes(&self) -> Result<Vec<Row>, String> {
        let time = Duration::from_secs(5);
        let tokens = time.as_secs_f64() / PACE.as_secs_f64();
        let channels = self.speak("plain", 1, time, true)?;
        let live = Viewers::start(By::WebTransport, &self.door, 1, &channels)?;
        thread::sleep(time + Duration::from_millis(500));
        let live = live.heard();
        let late = Viewers::start(By::WebTransport, &self.door, 1, &channels)?;
        thread::sleep(Duration::from_millis(500));
        let text = 4.0 * tokens;
        Ok(vec![
            Row::new("frame bytes per token", live.bytes as f64 / tokens, "B", Bound::AtMost(18.0)),
            Row::new("catch-up / text", late.heard().bytes as f64 / text, "×", Bound::AtMost(2.5)),
        ])
    }

    /// CPU for each delivered frame, for the ways in which frames are delivered.
    fn cost(&self) -> Result<Vec<Row>, String> {
        let many = self.per_frame("many", By::WebTransport, ON_ONE_SESSION, 1)?;
        let wide = self.per_frame("wide", By::WebTransport, 1, SESSIONS)?;
        let sockets = self.per_frame("sockets", By::WebSocket, 1, SOCKETS)?;
        let bare = bare_per_frame()?;
        let micros = |what: String, value, bound| Row::new(what, value, "µs", bound);
        Ok(vec![
            micros(
                format!("CPU/frame, {ON_ONE_SESSION} channels on one session"),
                many,
                Bound::None,
            ),
            micros(
                format!("CPU/frame, one channel to {SESSIONS} sessions"),
                wide,
                Bound::AtMost(2.0 * bare),
            ),
            micros(format!("CPU/frame, bare QUIC loop to {SESSIONS} sessions"), bare, Bound::None),
            micros(
                format!("CPU/frame, one channel to {SOCKETS} WebSockets"),
                sockets,
                Bound::AtMost(NODE_WS_MICROS),
            ),
        ])
    }

    fn per_frame(
        &self,
        name: &str,
        by: By,
        channels: usize,
        sessions: usize,
    ) -> Result<f64, String> {
        // The second load is there until the last of many viewers has come.
        self.speak(&format!("{name}-unseen"), channels, SETTLE + WINDOW, false)?;
        thread::sleep(SETTLE);
        let (unseen, _) = self.window(None);
        thread::sleep(SETTLE);
        let seen = self.speak(name, channels, 3 * SETTLE + 2 * WINDOW, false)?;
        let viewers = Viewers::start(by, &self.door, sessions, &seen)?;
        thread::sleep(SETTLE);
        let (cpu, frames) = self.window(Some(&viewers));
        Ok((cpu.saturating_sub(unseen)).as_secs_f64() * 1e6 / frames as f64)
    }

    /// The gateway's CPU time and the viewers' frames, over the window.
    fn window(&self, viewers: Option<&Viewers>) -> (Duration, u64) {
        let now = || {
            let frames = viewers.map_or(0, |viewers| viewers.heard().frames);
            (process::usage(self.gateway.pid()).cpu, frames)
        };
        let before = now();
        thread::sleep(WINDOW);
        let after = now();
        (after.0 - before.0, after.1 - before.1)
    }
}

/// The same frames to as many sessions, written by a loop that does nothing else.
fn bare_per_frame() -> Result<f64, String> {
    let bare = Bare::start(SESSIONS)?;
    let viewers = Viewers::start(By::WebTransport, &bare.door, SESSIONS, &[])?;
    thread::sleep(SETTLE);
    let (cpu, frames) = (bare.cpu(), viewers.heard().frames);
    thread::sleep(WINDOW);
    let (cpu, frames) = (bare.cpu() - cpu, viewers.heard().frames - frames);
    Ok(cpu.as_secs_f64() * 1e6 / frames as f64)
}
