//! What keeps watch over a generation's waits: a cancel, a clock or an empty house can end any of them.
//!
//! When a clock runs out is `deadlines`', whether anybody is there is `presence`'s; here they are waited for.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Deadlines, Due, OnDisconnect, Presence, Timeouts};
use crate::event::{Failed, FailureCode, TimeoutPhase};

/// How long it takes at most until it is known who looks on at other gateways.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// Everything that can end a generation from outside.
pub(super) struct Vigil {
    stop: Stop,
    /// Told of what the provider sends.
    pub(super) deadlines: Deadlines,
    presence: Presence,
    viewers: watch::Receiver<usize>,
    caller: watch::Receiver<()>,
    caller_here: bool,
    /// Armed at or before the next deadline: a deadline that moves away costs nothing until the timer fires.
    timer: Pin<Box<Sleep>>,
}

/// What stops a generation on somebody's word.
pub(super) struct Stop {
    /// Pulled by a cancel, and with the gateway's.
    pub(super) own: CancellationToken,
    /// Pulled when the gateway gives up what still runs.
    pub(super) gateway: CancellationToken,
}

impl Stop {
    fn cut(&self) -> Cut {
        match self.gateway.is_cancelled() {
            true => {
                let message = "the gateway was stopped before it had ended";
                Cut::Failed(Failed::new(FailureCode::GatewayLost, message))
            }
            false => cancelled("it was cancelled"),
        }
    }
}

/// Why a wait was not waited out.
pub(super) enum Cut {
    Failed(Failed),
    /// The provider said that it finished, and then nothing more.
    Linger,
}

impl Vigil {
    /// The generation begins now, with its caller present.
    pub(super) fn new(
        stop: Stop,
        timeouts: Timeouts,
        on_disconnect: OnDisconnect,
        viewers: watch::Receiver<usize>,
        caller: watch::Receiver<()>,
    ) -> Self {
        let deadlines = Deadlines::new(timeouts, Instant::now());
        let timer = Box::pin(tokio::time::sleep_until(deadlines.next().0));
        let presence = Presence::new(on_disconnect);
        Self { stop, deadlines, presence, viewers, caller, caller_here: true, timer }
    }

    /// It began elsewhere, at that time, and its caller was gone before it came here.
    pub(super) fn began_elsewhere(&mut self, at: Instant, now: Instant) {
        self.deadlines.began(at);
        self.caller_here = false;
        let anybody = *self.viewers.borrow_and_update() > 0;
        self.presence.update(anybody, now + KNOWN_WITHIN);
    }

    /// Whether the gateway gives up what still runs.
    pub(super) fn is_given_up(&self) -> bool {
        self.stop.gateway.is_cancelled()
    }

    /// Waits for `work`, unless something ends the generation first.
    pub(super) async fn unless_ended<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Cut> {
        let mut work = std::pin::pin!(work);
        loop {
            let (deadline, due) = self.deadlines.next();
            let alone = self.presence.deadline();
            let next = alone.map_or(deadline, |alone| alone.min(deadline));
            if next < self.timer.deadline() {
                self.timer.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = self.stop.own.cancelled() => return Err(self.stop.cut()),
                () = self.timer.as_mut() => {
                    let now = Instant::now();
                    if alone.is_some_and(|alone| now >= alone) {
                        return Err(cancelled("nobody was there any more (on_disconnect)"));
                    }
                    if now >= deadline {
                        return Err(self.cut(due));
                    }
                    self.timer.as_mut().reset(next);
                }
                done = &mut work => return Ok(done),
                changed = self.caller.changed(), if self.caller_here => {
                    self.caller_here = changed.is_ok();
                    self.look_around();
                }
                _ = self.viewers.changed() => self.look_around(),
            }
        }
    }

    fn look_around(&mut self) {
        let anybody = self.caller_here || *self.viewers.borrow_and_update() > 0;
        self.presence.update(anybody, Instant::now());
    }

    fn cut(&self, due: Due) -> Cut {
        let Due::Timeout(phase) = due else { return Cut::Linger };
        let limit = self.deadlines.limit(phase);
        let message = match phase {
            TimeoutPhase::Connect => format!("no connection after {limit:?}"),
            TimeoutPhase::FirstToken => format!("no first token after {limit:?}"),
            TimeoutPhase::Idle => format!("nothing said for {limit:?}"),
            TimeoutPhase::Total => format!("not finished after {limit:?}"),
            TimeoutPhase::Silent => format!("not a byte for {limit:?}, after pings"),
        };
        Cut::Failed(Failed { phase: Some(phase), ..Failed::new(FailureCode::Timeout, message) })
    }
}

impl Cut {
    /// The failure, where nothing can have finished yet.
    pub(super) fn failed(self) -> Failed {
        match self {
            Self::Failed(failed) => failed,
            Self::Linger => unreachable!("a finish reason is seen only in a stream"),
        }
    }
}

fn cancelled(message: &str) -> Cut {
    Cut::Failed(Failed::new(FailureCode::Cancelled, message))
}
