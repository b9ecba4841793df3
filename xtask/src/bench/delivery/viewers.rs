//! Viewers on a thread of their own: they subscribe, and count what comes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokenway::{
    event::Kind,
    native::{Client, Item, Target},
    sequence::From,
    transport::webtransport::{Message, dial},
    wire::proto::{self, client_message::Body, subscribe},
};
use tokio::{runtime::Builder, sync::oneshot, task::JoinSet, time};

use super::{door::Door, websocket};

/// Viewers who have not all come by then will not.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a viewer comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    WebTransport,
    WebSocket,
}

/// What all viewers together have been sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) frames: u64,
    /// Bytes of the frames, with the length before each.
    pub(super) bytes: u64,
}

/// Shared by the viewers, who write, and the bench, which reads.
#[derive(Debug, Default)]
pub(super) struct Tally {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(super) fn frame(&self, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Running viewers; dropping this lets them go.
pub(super) struct Viewers {
    tally: Arc<Tally>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Viewers {
    /// So many sessions, each of which follows all the channels from their beginning. Returns when all have been sent
    /// something.
    pub(super) fn start(
        by: By,
        door: &Door,
        sessions: usize,
        channels: &[String],
    ) -> Result<Self, String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = oneshot::channel();
        let (came, coming) = mpsc::channel();
        let (door, counted) = (door.clone(), Arc::clone(&tally));
        let hello = hello(channels);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let mut running = JoinSet::new();
                for _ in 0..sessions {
                    let (door, hello) = (door.clone(), hello.clone());
                    let (tally, came) = (Arc::clone(&counted), came.clone());
                    running.spawn(async move {
                        let ended = match by {
                            By::WebTransport => webtransport(door, hello, &tally, &came).await,
                            By::WebSocket => websocket::view(door.http, hello, &tally, &came).await,
                        };
                        // The bench has heard enough where nobody takes this.
                        let _ = came.send(Err(ended));
                    });
                    // A crowd at the door at once would be asked to prove its addresses.
                    time::sleep(Duration::from_micros(500)).await;
                }
                // Ends by the sender's going, too.
                let _ = stopped.await;
            });
        });
        let viewers = Self { tally, stop: Some(stop), thread: Some(thread) };
        let until = Instant::now() + PATIENCE;
        for number in 0..sessions {
            let left = until.saturating_duration_since(Instant::now());
            let came = coming.recv_timeout(left);
            came.map_err(|_| format!("only {number} of {sessions} viewers came"))??;
        }
        Ok(viewers)
    }

    /// What they have been sent so far.
    pub(super) fn heard(&self) -> Heard {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        Heard { frames: read(&self.tally.frames), bytes: read(&self.tally.bytes) }
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A viewer's panic is a bug of the bench, and it has been shown.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn hello(channels: &[String]) -> proto::ClientMessage {
    let subscriptions = (1..).zip(channels).map(|(alias, channel)| proto::Subscribe {
        alias,
        channel: channel.clone(),
        from: Some(subscribe::From::Beginning(proto::Nothing {})),
        ..Default::default()
    });
    let subscriptions = subscriptions.collect();
    let hello = proto::Hello { protocol: 1, subscriptions, ..Default::default() };
    proto::ClientMessage { request: 1, body: Some(Body::Hello(hello)) }
}

/// One session over WebTransport. Gives why it ended; it should not.
async fn webtransport(
    door: Door,
    hello: proto::ClientMessage,
    tally: &Tally,
    came: &mpsc::Sender<Result<(), String>>,
) -> String {
    let mut dialled = match dial(&door.url, &door.trust).await {
        Ok(dialled) => dialled,
        Err(why) => return why.to_string(),
    };
    dialled.send(&hello);
    let mut first = true;
    loop {
        match dialled.next().await {
            Ok(Message::Frame(frame)) => {
                let length = if frame.len() < 128 { 1 } else { 2 + frame.len() / 16_384 };
                tally.frame(length + frame.len());
                if std::mem::take(&mut first) {
                    // See above.
                    let _ = came.send(Ok(()));
                }
            }
            Ok(Message::Control(_)) => {}
            Err(why) => return why,
        }
    }
}

/// Milliseconds from the stamp in each token to its receipt by the native client, for stamps later than `from`.
pub(super) fn latencies(
    door: &Door,
    channels: &[String],
    begun: Instant,
    from: Duration,
) -> Result<Vec<f64>, String> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    runtime.block_on(async {
        let target = Target { url: door.url.clone(), trust: door.trust.clone(), token: None };
        let mut client = Client::connect(target).await.map_err(|why| why.to_string())?;
        let mut open = channels.len();
        for channel in channels {
            client.subscribe(channel, From::Beginning, false);
        }
        let mut late = Vec::new();
        while open > 0 {
            let (_, item) = client.next().await.map_err(|why| why.to_string())?;
            let now = begun.elapsed();
            let Item::Events { events, .. } = item else { continue };
            for event in events {
                match event.kind {
                    Kind::Text(text) => {
                        let stamp =
                            text.trim_end().split_once('@').and_then(|(_, it)| it.parse().ok());
                        let stamp = Duration::from_nanos(stamp.ok_or("a token without its stamp")?);
                        if stamp > from {
                            late.push((now.saturating_sub(stamp)).as_secs_f64() * 1e3);
                        }
                    }
                    Kind::Finished(_) => open -= 1,
                    Kind::Failed(failed) => return Err(failed.message),
                    _ => {}
                }
            }
        }
        Ok(late)
    })
}
