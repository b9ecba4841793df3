//! One client's connection as a [`Transport`]: a control stream, and a unidirectional stream for each lane.

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use wtransport::{
    Connection, RecvStream, SendStream, VarInt,
    quinn::{self, WriteError},
};

use crate::{
    frame::{Form, Outgoing},
    transport::{Gone, HELLO_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, Transport},
    wire::Framing,
};

/// How much is read from the control stream at a time.
const READ_BYTES: usize = 4 * 1024;

/// How long the client may withhold a stream that it asked for.
const STREAM_WAIT: Duration = Duration::from_secs(10);

/// Ended streams that still hold bytes the client does not take; beyond them no further stream is opened.
const LEAVING_MAX: usize = 64;

/// Own lanes, and the overflow lane after them.
const SLOTS: usize = 65;

/// Datagrams that wait to be looked at; each is at most a packet.
const DATAGRAMS_MAX: usize = 64;

type Opening = Pin<Box<dyn Future<Output = Result<SendStream, Gone>> + Send>>;

/// A session's connection.
pub struct WebTransport {
    connection: Arc<Connection>,
    receive: RecvStream,
    framing: Framing,
    greeted: bool,
    control: Writing,
    slots: Vec<Option<Writing>>,
    /// At most one stream is being opened: waiting opens are costly (measured: 10,000 took 3.5 s of CPU in 9 s).
    opening: Option<(usize, Instant, Opening)>,
    leaving: VecDeque<Writing>,
    /// Takes datagrams in, and what this protocol has no use for: left alone, the library's small queues would fill and
    /// stall. `None` once the connection has ended.
    intake: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    datagrams: Arc<Mutex<VecDeque<Bytes>>>,
    acknowledged: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A stream, and the rest of the frame that it has not taken yet.
struct Writing {
    stream: SendStream,
    rest: [Bytes; 2],
    /// The client stopped it: what is written is let go.
    deaf: bool,
}

impl Writing {
    fn new(stream: SendStream) -> Self {
        Self { stream, rest: [Bytes::new(), Bytes::new()], deaf: false }
    }

    fn is_done(&self) -> bool {
        self.rest.iter().all(Bytes::is_empty)
    }

    /// Writes what the stream takes. Ready when nothing is left.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while !self.is_done() {
            if self.deaf {
                self.rest = [Bytes::new(), Bytes::new()];
                break;
            }
            // What was taken has left `rest`, so that a new future goes on where this one stopped.
            let write = self.stream.quic_stream_mut().write_chunks(&mut self.rest);
            match ready!(pin!(write).poll(cx)) {
                Ok(_) => {}
                Err(WriteError::Stopped(_)) => self.deaf = true,
                Err(error) => return Poll::Ready(Err(Gone::Lost(error.to_string()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the stream after what was written. The library delivers the rest without us.
    fn finish(mut self) {
        // It fails only where the client stopped the stream, which ends it as well.
        let _ = self.stream.quic_stream_mut().finish();
    }
}

fn slot(lane: Lane) -> Option<usize> {
    match lane {
        Lane::Control => None,
        Lane::Own(slot) => Some(slot.into()),
        Lane::Overflow => Some(SLOTS - 1),
    }
}

impl WebTransport {
    pub(super) fn new(connection: Connection, send: SendStream, receive: RecvStream) -> Self {
        let connection = Arc::new(connection);
        let datagrams = Arc::<Mutex<VecDeque<Bytes>>>::default();
        let intake = intake(Arc::clone(&connection), Arc::clone(&datagrams));
        Self {
            intake: Some(Box::pin(intake)),
            datagrams,
            connection,
            receive,
            framing: Framing::new(HELLO_BYTES_MAX),
            greeted: false,
            control: Writing::new(send),
            slots: Vec::new(),
            opening: None,
            leaving: VecDeque::new(),
            acknowledged: None,
        }
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        if let Some(intake) = &mut self.intake
            && intake.as_mut().poll(cx).is_ready()
        {
            self.intake = None;
        }
    }

    fn writing(&mut self, lane: Lane) -> Option<&mut Writing> {
        match slot(lane) {
            None => Some(&mut self.control),
            Some(slot) => self.slots.get_mut(slot)?.as_mut(),
        }
    }

    /// Sees to a stream for the slot. Ready once it has one.
    fn poll_open(&mut self, slot: usize, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            let (wanted, since, opening) = match &mut self.opening {
                Some(opening) => opening,
                None if self.leaving.len() >= LEAVING_MAX => return Poll::Pending,
                None => {
                    let opening = Box::pin(open(Arc::clone(&self.connection)));
                    self.opening.insert((slot, Instant::now(), opening))
                }
            };
            let Poll::Ready(stream) = opening.as_mut().poll(cx) else {
                let late = since.elapsed() > STREAM_WAIT;
                return if late { Poll::Ready(Err(Gone::TooFewStreams)) } else { Poll::Pending };
            };
            let opened = *wanted;
            self.opening = None;
            if self.slots.len() <= opened {
                self.slots.resize_with(opened + 1, || None);
            }
            self.slots[opened] = Some(Writing::new(stream?));
            if opened == slot {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Pushes out the ends of streams whose subscriptions are over.
    fn push_leaving(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        for _ in 0..self.leaving.len() {
            let Some(mut writing) = self.leaving.pop_front() else { break };
            match writing.poll_push(cx) {
                Poll::Ready(Ok(())) => writing.finish(),
                Poll::Ready(Err(gone)) => return Err(gone),
                Poll::Pending => self.leaving.push_back(writing),
            }
        }
        Ok(())
    }

    fn next_message(&mut self) -> Result<Option<Bytes>, Gone> {
        let message = self.framing.pop().map_err(|error| Gone::Malformed(error.to_string()))?;
        if message.is_some() && !self.greeted {
            self.greeted = true;
            self.framing.limit(MESSAGE_BYTES_MAX);
        }
        Ok(message)
    }
}

impl Transport for WebTransport {
    fn form(&self) -> Form {
        Form::Frame
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        self.take_in(cx);
        if self.intake.is_none() {
            return Poll::Ready(Err(Gone::Lost("the connection is closed".into())));
        }
        loop {
            if let Some(message) = self.next_message()? {
                return Poll::Ready(Ok(message));
            }
            let mut buffer = [0; READ_BYTES];
            match ready!(self.receive.quic_stream_mut().poll_read(cx, &mut buffer)) {
                Ok(0) => return Poll::Ready(Err(Gone::Lost("the client left".into()))),
                Ok(read) => self.framing.push(&buffer[..read]),
                Err(error) => return Poll::Ready(Err(Gone::Lost(error.to_string()))),
            }
        }
    }

    fn poll_ready(&mut self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.writing(lane).is_none() {
            let slot = slot(lane).expect("the control stream is always open");
            ready!(self.poll_open(slot, cx))?;
        }
        self.writing(lane).expect("opened above").poll_push(cx)
    }

    fn start_send(&mut self, lane: Lane, frame: Outgoing) {
        let writing = self.writing(lane).expect("only after it was ready");
        debug_assert!(writing.is_done(), "one frame at a time");
        writing.rest = [frame.header, frame.body];
    }

    fn finish(&mut self, lane: Lane) {
        let slot = slot(lane).and_then(|slot| self.slots.get_mut(slot));
        if let Some(writing) = slot.and_then(Option::take) {
            self.leaving.push_back(writing);
        }
    }

    fn datagram_max(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or(0)
    }

    fn send_datagram(&mut self, datagram: Bytes) {
        // One that the connection does not take is lost, which datagrams may be.
        let _ = self.connection.send_datagram(datagram);
    }

    fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        self.take_in(cx);
        self.datagrams.lock().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.push_leaving(cx)?;
        let mut flushed = self.leaving.is_empty();
        let open = self.slots.iter_mut().flatten();
        for writing in std::iter::once(&mut self.control).chain(open) {
            match writing.poll_push(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(gone)) => return Poll::Ready(Err(gone)),
                Poll::Pending => flushed = false,
            }
        }
        if self.control.deaf {
            return Poll::Ready(Err(Gone::Lost("the client stopped the control stream".into())));
        }
        if flushed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let control = &mut self.control.stream;
        let acknowledged = self.acknowledged.get_or_insert_with(|| {
            // It fails only where the client stopped the stream; then there is nobody to wait for.
            let _ = control.quic_stream_mut().finish();
            let stopped = control.quic_stream().stopped();
            Box::pin(async move {
                let _ = stopped.await;
            })
        });
        ready!(acknowledged.as_mut().poll(cx));
        self.connection.close(VarInt::from_u32(0), b"");
        Poll::Ready(())
    }
}

impl Drop for WebTransport {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

async fn open(connection: Arc<Connection>) -> Result<SendStream, Gone> {
    let lost = |error: &dyn std::fmt::Display| Gone::Lost(error.to_string());
    let opening = connection.open_uni().await.map_err(|error| lost(&error))?;
    opening.await.map_err(|error| lost(&error))
}

/// Ends when the connection does. Of many datagrams the oldest are lost.
async fn intake(connection: Arc<Connection>, datagrams: Arc<Mutex<VecDeque<Bytes>>>) {
    loop {
        let ended = tokio::select! {
            datagram = connection.receive_datagram() => match datagram {
                Ok(datagram) => {
                    let mut waiting = datagrams.lock();
                    if waiting.len() >= DATAGRAMS_MAX {
                        waiting.pop_front();
                    }
                    waiting.push_back(datagram.payload());
                    false
                }
                Err(_) => true,
            },
            stream = connection.accept_uni() => stream.is_err(),
            stream = connection.accept_bi() => stream.is_err(),
        };
        if ended {
            return;
        }
    }
}

impl std::fmt::Debug for WebTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quic: &quinn::Connection = self.connection.quic_connection();
        f.debug_struct("WebTransport").field("remote", &quic.remote_address()).finish()
    }
}
