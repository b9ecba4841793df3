//! Handshakes under way: how many there may be, in all and from one place, and each of them to its end or its time.
//!
//! A client that shakes hands and says nothing more is still under way. A crowd of those, from one place or from many, makes
//! room for who comes.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wtransport::{endpoint::IncomingSessionFuture, quinn};

use super::{WebTransport, endpoint::Request};

/// Handshakes in flight.
const MAX: usize = 256;

/// From so many handshakes in flight on, clients must first prove their address.
const UNPROVEN_MAX: usize = 64;

/// An honest client is through within so long, on all but the worst networks. Where there is no room, one that takes longer
/// makes room for who comes.
const HURRIED: Duration = Duration::from_secs(3);

/// From the first packet to an open control stream.
const WAIT: Duration = Duration::from_secs(10);

/// Where sessions are.
const PATH: &str = "/v1/connect";

pub(super) type Accepted = (WebTransport, Request);

/// All that are under way.
pub(super) struct Handshakes {
    under_way: FuturesUnordered<BoxFuture<'static, (IpAddr, u64, Option<Accepted>)>>,
    by: HashMap<IpAddr, VecDeque<Begun>>,
    next: u64,
    counted: fn(IpAddr) -> IpAddr,
}

/// One that is under way.
struct Begun {
    number: u64,
    at: Instant,
    give_up: CancellationToken,
}

/// What becomes of a client that knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Begin,
    Prove,
    /// In the place of another.
    Displace,
    Ignore,
}

impl Handshakes {
    /// `counted`: for whom an address counts.
    pub(super) fn new(counted: fn(IpAddr) -> IpAddr) -> Self {
        Self { under_way: FuturesUnordered::new(), by: HashMap::new(), next: 0, counted }
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// A client knocks.
    pub(super) fn begin(&mut self, incoming: quinn::Incoming) {
        let whose = (self.counted)(incoming.remote_address().ip());
        let (all, own) = (self.all(), self.by.get(&whose).map_or(0, VecDeque::len));
        let crowd = if all < MAX { None } else { self.crowd() };
        let (most, waited) = crowd.map_or((0, Duration::ZERO), |(_, most, waited)| (most, waited));
        let proven = incoming.remote_address_validated();
        match answer(all, own, most, waited, proven) {
            // It fails only where the address is proven already.
            Answer::Prove => _ = incoming.retry(),
            // It knocks again by itself (RFC 9002, section 6.2).
            Answer::Ignore => incoming.ignore(),
            begins => {
                if let (Answer::Displace, Some((whose, ..))) = (begins, crowd) {
                    self.displace(whose);
                }
                self.push(whose, incoming);
            }
        }
    }

    fn push(&mut self, whose: IpAddr, incoming: quinn::Incoming) {
        let (number, give_up) = (self.next, CancellationToken::new());
        self.next += 1;
        let begun = Begun { number, at: Instant::now(), give_up: give_up.clone() };
        self.by.entry(whose).or_default().push_back(begun);
        self.under_way.push(Box::pin(async move {
            let accepted = give_up.run_until_cancelled_owned(handshake(incoming)).await;
            (whose, number, accepted.flatten())
        }));
    }

    fn all(&self) -> usize {
        self.by.values().map(VecDeque::len).sum()
    }

    /// The place with most of them, how many those are, and how long the first of them has taken; of several, the one whose
    /// first has taken longest.
    fn crowd(&self) -> Option<(IpAddr, usize, Duration)> {
        let crowds = self
            .by
            .iter()
            .filter_map(|(whose, begun)| Some((*whose, begun.len(), begun.front()?.at.elapsed())));
        crowds.max_by_key(|(_, most, waited)| (*most, *waited))
    }

    /// The first of a place makes room.
    fn displace(&mut self, whose: IpAddr) {
        let first = self.by.get_mut(&whose).and_then(VecDeque::pop_front);
        if let Some(Begun { give_up, .. }) = first {
            give_up.cancel();
        }
        self.by.retain(|_, begun| !begun.is_empty());
    }

    /// The next that has come to an end; pending where none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Accepted> {
        let (whose, number, accepted) = self.under_way.next().await?;
        if let Some(begun) = self.by.get_mut(&whose) {
            begun.retain(|it| it.number != number);
            if begun.is_empty() {
                self.by.remove(&whose);
            }
        }
        accepted
    }
}

/// With so many in all and of this place, the largest crowd and how long its first has taken.
fn answer(all: usize, own: usize, most: usize, waited: Duration, proven: bool) -> Answer {
    match proven {
        false if all >= UNPROVEN_MAX => Answer::Prove,
        _ if all < MAX => Answer::Begin,
        // Each place has its share, and nobody is waited for who is in no hurry.
        _ if most > own + 1 || waited >= HURRIED => Answer::Displace,
        _ => Answer::Ignore,
    }
}

async fn handshake(incoming: quinn::Incoming) -> Option<Accepted> {
    let remote = incoming.remote_address();
    match tokio::time::timeout(WAIT, establish(incoming)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => {
            tracing::debug!(%remote, %error, "a WebTransport handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%remote, "a WebTransport handshake took too long");
            None
        }
    }
}

/// From the first packet to an open control stream. Whoever knocks at another path is sent away.
async fn establish(
    incoming: quinn::Incoming,
) -> Result<Option<Accepted>, wtransport::error::ConnectionError> {
    let session = IncomingSessionFuture::with_quic_incoming(incoming).await?;
    let (path, query) = match session.path().split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (session.path(), None),
    };
    if path != PATH {
        session.not_found().await;
        return Ok(None);
    }
    let request = Request {
        origin: session.origin().map(str::to_owned),
        authority: session.authority().to_owned(),
        query,
        remote: session.remote_address(),
    };
    let connection = session.accept().await?;
    let (send, receive) = connection.accept_bi().await?;
    Ok(Some((WebTransport::new(connection, send, receive), request)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_makes_room_for_others_and_who_dawdles_for_everybody() {
        let now = Duration::ZERO;
        for (all, own, most, waited, proven, expected) in [
            (0, 0, 0, now, false, Answer::Begin),
            (UNPROVEN_MAX, 0, 0, now, false, Answer::Prove),
            (MAX, 0, MAX, now, false, Answer::Prove),
            (MAX - 1, MAX - 1, 0, now, true, Answer::Begin),
            (MAX, 0, MAX, now, true, Answer::Displace),
            // Eight of a size, and nobody in a hurry among them.
            (MAX, 0, MAX / 8, now, true, Answer::Displace),
            (MAX, MAX, MAX, now, true, Answer::Ignore),
            (MAX, MAX, MAX, HURRIED, true, Answer::Displace),
            (MAX, 0, 1, now, true, Answer::Ignore),
            (MAX, 0, 1, HURRIED, true, Answer::Displace),
        ] {
            let got = answer(all, own, most, waited, proven);
            assert_eq!(got, expected, "{all} {own} {most} {waited:?} {proven}");
        }
    }
}
