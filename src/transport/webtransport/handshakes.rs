//! Handshakes under way: how many there may be, in all and from one place, and each of them to its end or its time.
//!
//! A client that shakes hands and says nothing more is still under way, so that a crowd of those is bounded too.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use wtransport::{endpoint::IncomingSessionFuture, quinn};

use super::{WebTransport, endpoint::Request};

/// Handshakes in flight; beyond them new clients wait in the library's own bounded queue.
const MAX: usize = 256;

/// From so many handshakes in flight on, clients must first prove their address.
const UNPROVEN_MAX: usize = 64;

/// Those from one place, of proven and of unproven addresses each; enough for a crowd behind one address to come through
/// by and by. Further ones must prove their address, and then are not heard: their clients knock again by themselves (RFC
/// 9002, section 6.2).
const OF_ONE_MAX: usize = 32;

/// From the first packet to an open control stream.
const WAIT: Duration = Duration::from_secs(10);

/// Where sessions are.
const PATH: &str = "/v1/connect";

/// Whose handshake it is: the place, and whether it was proven.
type Whose = (IpAddr, bool);

pub(super) type Accepted = (WebTransport, Request);

/// All that are under way.
pub(super) struct Handshakes {
    under_way: FuturesUnordered<BoxFuture<'static, (Whose, Option<Accepted>)>>,
    by: HashMap<Whose, usize>,
    counted: fn(IpAddr) -> IpAddr,
}

/// What becomes of a client that knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Begin,
    Prove,
    Ignore,
}

impl Handshakes {
    /// `counted`: for whom an address counts.
    pub(super) fn new(counted: fn(IpAddr) -> IpAddr) -> Self {
        Self { under_way: FuturesUnordered::new(), by: HashMap::new(), counted }
    }

    /// Whether there is room for one more.
    pub(super) fn have_room(&self) -> bool {
        self.under_way.len() < MAX
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// A client knocks.
    pub(super) fn begin(&mut self, incoming: quinn::Incoming) {
        let proven = incoming.remote_address_validated();
        let whose = ((self.counted)(incoming.remote_address().ip()), proven);
        let of_one = self.by.get(&whose).copied().unwrap_or_default();
        match answer(self.under_way.len(), of_one, proven) {
            Answer::Begin => {
                self.by.insert(whose, of_one + 1);
                self.under_way.push(Box::pin(async move { (whose, handshake(incoming).await) }));
            }
            // It fails only where the address is proven already.
            Answer::Prove => _ = incoming.retry(),
            Answer::Ignore => incoming.ignore(),
        }
    }

    /// The next that has come to an end; pending where none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Accepted> {
        let (whose, accepted) = self.under_way.next().await?;
        match self.by.get_mut(&whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = self.by.remove(&whose),
        }
        accepted
    }
}

fn answer(all: usize, of_one: usize, proven: bool) -> Answer {
    match (all >= UNPROVEN_MAX || of_one >= OF_ONE_MAX, proven) {
        (true, false) => Answer::Prove,
        (_, true) if of_one >= OF_ONE_MAX => Answer::Ignore,
        _ => Answer::Begin,
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
    fn one_place_takes_its_part_of_the_room_and_no_more() {
        for (all, of_one, proven, expected) in [
            (0, 0, false, Answer::Begin),
            (UNPROVEN_MAX, 0, false, Answer::Prove),
            (OF_ONE_MAX, OF_ONE_MAX, false, Answer::Prove),
            (OF_ONE_MAX, 0, true, Answer::Begin),
            (2 * OF_ONE_MAX, OF_ONE_MAX, true, Answer::Ignore),
            (MAX - 1, OF_ONE_MAX - 1, true, Answer::Begin),
        ] {
            assert_eq!(answer(all, of_one, proven), expected, "{all} {of_one} {proven}");
        }
        // Proven and unproven together leave most of the room to others.
        const { assert!(2 * OF_ONE_MAX <= MAX / 4) };
    }
}
