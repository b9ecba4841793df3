//! WebSocket: the carrier for who cannot have WebTransport. One ordered run of messages.
//!
//! A binary message is a run of length-delimited messages, one message for each tick. At most 64 KiB wait here; a client
//! that does not read leaves the rest in the log.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep};

use super::{Gone, HELLO_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, Transport};
use crate::{
    frame::{Form, Outgoing},
    wire::Framing,
};

/// The subprotocol.
pub const SUBPROTOCOL: &str = "tokenway.v1";

/// The library's 128 KiB for each connection is most of what an idle subscriber costs (measured); clients say little.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// No more is taken while so much waits.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// After so long without a word from the client it is asked for one.
const QUIET: Duration = Duration::from_secs(20);

/// After so long without a word the client is gone. WebSocket itself never notices.
const SILENT: Duration = Duration::from_secs(60);

/// Sets an upgrade up for this carrier: subprotocol, buffers and bounds.
pub fn prepare<F>(upgrade: WebSocketUpgrade<F>) -> WebSocketUpgrade<F> {
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(HELLO_BYTES_MAX + 8)
        .max_frame_size(HELLO_BYTES_MAX + 8)
}

/// A session's WebSocket.
#[derive(Debug)]
pub struct Socket {
    inner: WebSocket,
    framing: Framing,
    greeted: bool,
    /// What the next binary message will hold.
    waiting: BytesMut,
    /// A message was handed over and has not left this process yet.
    leaving: bool,
    heard: Instant,
    /// A sign of life is to be asked for.
    asks: bool,
    timer: Pin<Box<Sleep>>,
    closing: bool,
}

impl Socket {
    /// Carries a session over an upgraded connection.
    pub fn new(inner: WebSocket) -> Self {
        Self {
            inner,
            framing: Framing::new(HELLO_BYTES_MAX),
            greeted: false,
            waiting: BytesMut::new(),
            leaving: false,
            heard: Instant::now(),
            asks: false,
            timer: Box::pin(tokio::time::sleep(QUIET)),
            closing: false,
        }
    }

    fn next_message(&mut self) -> Result<Option<Bytes>, Gone> {
        let message = self.framing.pop().map_err(|error| Gone::Malformed(error.to_string()))?;
        if message.is_some() && !self.greeted {
            self.greeted = true;
            self.framing.limit(MESSAGE_BYTES_MAX);
        }
        Ok(message)
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
            Some(Ok(Message::Binary(bytes))) => {
                self.heard();
                self.framing.push(&bytes);
                Poll::Ready(Ok(()))
            }
            Some(Ok(Message::Text(_))) => {
                Poll::Ready(Err(Gone::Malformed("a text message".into())))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.heard();
                Poll::Ready(Ok(()))
            }
            Some(Ok(Message::Close(_))) | None => {
                Poll::Ready(Err(Gone::Lost("the client left".into())))
            }
            Some(Err(error)) => Poll::Ready(Err(Gone::Lost(error.to_string()))),
        }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Asks a quiet client for a sign of life, and gives a silent one up. The timer is not moved by each message: it
    /// looks when it rings.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let quiet = self.heard.elapsed();
            let next = if quiet >= SILENT {
                return Poll::Ready(Gone::Lost("silent for a minute".into()));
            } else if quiet >= QUIET {
                self.asks = true;
                self.heard + SILENT
            } else {
                self.heard + QUIET
            };
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// Hands a message to the library and sees it leave. Ready when it has.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let lost = |error: axum::Error| Gone::Lost(error.to_string());
        if self.leaving {
            ready!(Pin::new(&mut self.inner).poll_flush(cx)).map_err(lost)?;
            self.leaving = false;
        }
        if self.waiting.is_empty() && !self.asks {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(lost)?;
        let message = if self.waiting.is_empty() {
            self.asks = false;
            Message::Ping(Bytes::new())
        } else {
            Message::Binary(self.waiting.split().freeze())
        };
        Pin::new(&mut self.inner).start_send(message).map_err(lost)?;
        self.leaving = true;
        ready!(Pin::new(&mut self.inner).poll_flush(cx)).map_err(lost)?;
        self.leaving = false;
        Poll::Ready(Ok(()))
    }
}

impl Transport for Socket {
    fn form(&self) -> Form {
        Form::Message
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        loop {
            if let Some(message) = self.next_message()? {
                return Poll::Ready(Ok(message));
            }
            if self.poll_socket(cx)?.is_pending() {
                return self.poll_quiet(cx).map(Err);
            }
        }
    }

    /// All lanes are one here. What waits may pass the bound by one frame.
    fn poll_ready(&mut self, _: Lane, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.leaving {
            ready!(self.poll_leave(cx))?;
        }
        if self.waiting.len() >= WAITING_BYTES_MAX {
            return self.poll_leave(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, _: Lane, frame: Outgoing) {
        self.waiting.reserve(frame.len());
        self.waiting.extend_from_slice(&frame.header);
        self.waiting.extend_from_slice(&frame.body);
    }

    fn finish(&mut self, _: Lane) {}

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.poll_leave(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.closing {
            self.closing = true;
            let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
            let close = Message::Close(Some(close));
            if ready!(Pin::new(&mut self.inner).poll_ready(cx)).is_err()
                || Pin::new(&mut self.inner).start_send(close).is_err()
            {
                return Poll::Ready(());
            }
        }
        if ready!(Pin::new(&mut self.inner).poll_flush(cx)).is_err() {
            return Poll::Ready(());
        }
        // The client answers a close with its own, and then the connection ends.
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.inner).poll_next(cx)) {}
        Poll::Ready(())
    }
}
