//! What delivery is held against: a loop that writes a small frame to every session on each tick, and nothing else.

use std::{fs, net::SocketAddr, sync::mpsc, thread, time::Duration};

use tokenway::transport::webtransport::Trust;
use tokio::{runtime::Builder, sync::oneshot, time};
use wtransport::{Endpoint, Identity, ServerConfig};

use super::door::Door;
use crate::process;

const TICK: Duration = Duration::from_millis(16);
/// A length, and a frame of one token with its stamp: as long as the gateway's.
const FRAME: [u8; 38] = {
    let mut frame = [7; 38];
    frame[0] = 37;
    frame
};

/// The loop, on a thread of its own; dropping this ends it.
pub(super) struct Bare {
    pub(super) door: Door,
    thread: u32,
    _stop: oneshot::Sender<()>,
}

impl Bare {
    /// Listens for so many sessions, and begins when all have come.
    pub(super) fn start(sessions: usize) -> Result<Self, String> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                tokio::select! {
                    // Whoever listens for `tell` sees that it went.
                    _ = write(sessions, tell) => {}
                    _ = stopped => {}
                }
            });
        });
        let (thread, door) = told.recv().map_err(|_| "the bare loop cannot listen")?;
        Ok(Self { door, thread, _stop: stop })
    }

    /// What its thread has used.
    pub(super) fn cpu(&self) -> Duration {
        process::thread_cpu(self.thread)
    }
}

async fn write(
    sessions: usize,
    tell: mpsc::Sender<(u32, Door)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let hash = *identity.certificate_chain().as_slice()[0].hash().as_ref();
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ServerConfig::builder().with_bind_address(here).with_identity(identity).build();
    let endpoint = Endpoint::server(config)?;
    let here = endpoint.local_addr()?;
    let url = format!("https://127.0.0.1:{}/v1/connect", here.port());
    let thread = fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().and_then(|it| it.to_str()).ok_or("no number")?.parse()?;
    tell.send((thread, Door { http: here, url, trust: Trust::Hashes(vec![hash]) }))?;

    let (mut connections, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..sessions {
        let connection = endpoint.accept().await.await?.accept().await?;
        let mut stream = connection.open_uni().await?.await?;
        stream.write_all(&FRAME).await?;
        connections.push(connection);
        streams.push(stream);
    }
    let mut ticks = time::interval(TICK);
    loop {
        ticks.tick().await;
        for stream in &mut streams {
            stream.write_all(&FRAME).await?;
        }
    }
}
