//! The task of one session: joins the machine in `state` to a transport.
//!
//! One loop over one enum of events. All lanes of a tick are written in one poll, without yielding in between, so that
//! the carrier can put them in shared packets.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Closing, HELLO_WAIT, Outbox, Session, answers::Answers};
use crate::{
    frame::{Due, Outgoing},
    transport::{Gone, Lane, Transport},
    wire::proto::{self, control::Body as Answer},
};

/// How long a client may take to take note of the session's last message.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// When and how gently the gateway stops.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Cancelled when it begins.
    pub begins: CancellationToken,
    /// How long sessions may stay after that.
    pub grace: Duration,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client left, or the path is gone.
    Left(Gone),
    /// The gateway closed it and said why.
    Closed(Closing),
}

/// Runs a session to its end.
pub async fn run(transport: impl Transport, session: Session, shutdown: Shutdown) -> Outcome {
    let mut driver = Driver {
        transport,
        session,
        shutdown: Some(Box::pin(shutdown.begins.cancelled_owned())),
        leaves: Instant::now() + HELLO_WAIT,
        wakes: Box::pin(tokio::time::sleep(HELLO_WAIT)),
        ticked_last: false,
    };
    loop {
        tokio::task::consume_budget().await;
        let event = poll_fn(|cx| driver.poll_event(cx)).await;
        driver.ticked_last = matches!(event, Event::Due);
        let closing = match event {
            Event::Received(message) => driver.receive(&message),
            Event::Due => None,
            Event::Shutdown => {
                driver.session.go_away(shutdown.grace);
                driver.leaves = Instant::now() + shutdown.grace;
                None
            }
            Event::TimeIsUp if driver.session.is_greeted() => Some(Closing::Shutdown),
            Event::TimeIsUp => Some(Closing::HelloExpected),
            Event::Gone(Gone::Malformed(what)) => Some(Closing::BadMessage(what)),
            Event::Gone(Gone::TooFewStreams) => {
                Some(Closing::Limit("the client lets the gateway open too few streams"))
            }
            Event::Gone(gone) => return Outcome::Left(gone),
        };
        if let Some(why) = closing {
            driver.session.close(&why);
        }
        if let Some(why) = driver.session.closing().cloned() {
            let Driver { transport, mut session, .. } = driver;
            farewell(transport, |port| {
                session.write_answers(port);
                session.is_quiet()
            })
            .await;
            return Outcome::Closed(why);
        }
    }
}

/// Tells a client why it gets no session.
pub async fn refuse(transport: impl Transport, why: &Closing) {
    let mut answers = Answers::default();
    answers.push(0, Answer::Closing(why.to_wire()));
    farewell(transport, |port| {
        answers.write(port);
        answers.is_empty()
    })
    .await;
}

/// Writes the last answers and ends the connection once the client has them, or has had its time.
async fn farewell<T: Transport>(
    mut transport: T,
    mut write: impl FnMut(&mut Port<'_, '_, T>) -> bool,
) {
    let said = poll_fn(|cx| {
        let mut port = Port { transport: &mut transport, cx, gone: None };
        let written = write(&mut port);
        if port.gone.is_some() || ready!(transport.poll_flush(cx)).is_err() {
            return Poll::Ready(());
        }
        match written {
            true => transport.poll_close(cx),
            false => Poll::Pending,
        }
    });
    // A client that does not read its last message has lost it.
    let _ = tokio::time::timeout(CLOSE_WAIT, said).await;
}

/// What a session's task wakes for.
enum Event {
    Received(Bytes),
    /// A tick was due, and has been written.
    Due,
    Shutdown,
    /// No hello came, or the grace is over.
    TimeIsUp,
    Gone(Gone),
}

struct Driver<T> {
    transport: T,
    session: Session,
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// When hello, or leaving, is due.
    leaves: Instant,
    wakes: Pin<Box<Sleep>>,
    /// Ticks and messages take turns, so that neither starves the other.
    ticked_last: bool,
}

impl<T: Transport> Driver<T> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.session.look(cx);
        if let Err(gone) = self.write_answers(cx) {
            return Poll::Ready(Event::Gone(gone));
        }
        // Whoever has not said hello yet is welcomed before it is told to go.
        if self.session.is_greeted()
            && let Some(shutdown) = &mut self.shutdown
            && shutdown.as_mut().poll(cx).is_ready()
        {
            self.shutdown = None;
            return Poll::Ready(Event::Shutdown);
        }
        self.take_datagrams(cx);
        let first = match self.ticked_last {
            true => self.poll_recv(cx),
            false => self.poll_tick(cx),
        };
        if first.is_ready() {
            return first;
        }
        let second = match self.ticked_last {
            true => self.poll_tick(cx),
            false => self.poll_recv(cx),
        };
        if second.is_ready() {
            return second;
        }
        match self.transport.poll_flush(cx) {
            Poll::Ready(Err(gone)) => Poll::Ready(Event::Gone(gone)),
            _ => Poll::Pending,
        }
    }

    /// Takes acknowledgements in. They change what a tick repeats, and wake nobody.
    fn take_datagrams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(datagram) = self.transport.poll_datagram(cx) {
            // One that cannot be understood is as good as lost.
            if let Ok(proto::Acks { acks }) = proto::Acks::decode(datagram) {
                acks.iter().for_each(|ack| self.session.acknowledge(ack));
            }
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.transport.poll_recv(cx).map(|received| match received {
            Ok(message) => Event::Received(message),
            Err(gone) => Event::Gone(gone),
        })
    }

    /// Ticks if it is time to, and sees to being woken when it is.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let raised = self.session.signal().poll_raised(cx).is_ready();
        let mut port = Port { transport: &mut self.transport, cx, gone: None };
        let unblocked = self.session.is_unblocked(&mut port);
        if let Some(gone) = port.gone {
            return Poll::Ready(Event::Gone(gone));
        }
        let leaving = self.shutdown.is_none() || !self.session.is_greeted();
        let mut next = leaving.then_some(self.leaves);
        let now = Instant::now();
        match self.session.due(raised || unblocked, now) {
            Due::Now => return self.tick(now, cx),
            Due::At(at) => next = Some(next.map_or(at, |next| next.min(at))),
            Due::Never => {}
        }
        let Some(next) = next else { return Poll::Pending };
        if self.wakes.deadline() != next {
            self.wakes.as_mut().reset(next);
        }
        ready!(self.wakes.as_mut().poll(cx));
        if leaving && self.leaves <= Instant::now() {
            return Poll::Ready(Event::TimeIsUp);
        }
        self.tick(Instant::now(), cx)
    }

    fn tick(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Event> {
        let mut port = Port { transport: &mut self.transport, cx, gone: None };
        self.session.tick(now, &mut port);
        let gone = port.gone.or_else(|| match self.transport.poll_flush(cx) {
            Poll::Ready(Err(gone)) => Some(gone),
            _ => None,
        });
        Poll::Ready(gone.map_or(Event::Due, Event::Gone))
    }

    fn write_answers(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        let mut port = Port { transport: &mut self.transport, cx, gone: None };
        self.session.write_answers(&mut port);
        port.gone.map_or(Ok(()), Err)
    }

    fn receive(&mut self, message: &[u8]) -> Option<Closing> {
        match proto::ClientMessage::decode(message) {
            Ok(message) => {
                self.session.receive(message);
                None
            }
            Err(error) => Some(Closing::BadMessage(error.to_string())),
        }
    }
}

/// A transport as a session's outbox, for the length of one poll.
struct Port<'a, 'b, T> {
    transport: &'a mut T,
    cx: &'a mut Context<'b>,
    gone: Option<Gone>,
}

impl<T: Transport> Outbox for Port<'_, '_, T> {
    fn takes(&mut self, lane: Lane) -> bool {
        match self.transport.poll_ready(lane, self.cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(gone)) => {
                self.gone = Some(gone);
                false
            }
            Poll::Pending => false,
        }
    }

    fn put(&mut self, lane: Lane, frame: Outgoing) {
        self.transport.start_send(lane, frame);
    }

    fn finish(&mut self, lane: Lane) {
        self.transport.finish(lane);
    }

    fn datagram_max(&self) -> usize {
        self.transport.datagram_max()
    }

    fn datagram(&mut self, datagram: Bytes) {
        self.transport.send_datagram(datagram);
    }

    fn rtt(&self) -> Duration {
        self.transport.rtt()
    }
}
