//! Keeps a connection to a gateway and resumes by cursor whenever it drops.
//!
//! Nothing is spawned: everything goes on while [`Client::next`] is awaited, so that whoever reads slowly is the one who
//! waits. Dropping that future loses nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures_util::{FutureExt, Stream, future::BoxFuture};
use prost::Message as _;
use rand::Rng;
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Broken, Follow, Item};
use crate::{
    sequence::From,
    transport::webtransport::{CannotDial, Dialled, Message, Trust, dial},
    wire::proto::{self, client_message::Body as Request, control::Body as Answer, server_message},
};

/// How often the gateway is asked whether it is there. A restarted one answers by a reset at once.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// A gateway that has said nothing for this long after a ping is gone.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long the first attempts to connect may take each; later ones get more.
const PATIENCE_FIRST: Duration = Duration::from_millis(300);

/// How long any attempt may take.
const PATIENCE_MAX: Duration = Duration::from_secs(5);

/// Which gateway, and who asks.
#[derive(Clone)]
pub struct Target {
    /// `https://HOST:PORT/v1/connect`.
    pub url: String,
    /// How the gateway is known.
    pub trust: Trust,
    /// A channel token; none in open mode.
    pub token: Option<String>,
}

impl std::fmt::Debug for Target {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Names a subscription of a [`Client`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(u32);

/// Why a client cannot go on.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The first connection did not come about. Later ones are tried until they do.
    #[error(transparent)]
    CannotDial(#[from] CannotDial),
    /// A subscription was refused; it is given up, and the others go on.
    #[error("channel {channel}: {message} ({code})")]
    Refused {
        /// The channel.
        channel: String,
        /// The protocol's code, e.g. `channel_not_found`.
        code: String,
        /// For people.
        message: String,
    },
    /// The gateway closed the session, and connecting again would not help.
    #[error("the gateway closed the session: {message} ({code})")]
    Closed {
        /// The protocol's code.
        code: String,
        /// For people.
        message: String,
    },
    /// The gateway does not keep to the protocol.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Follows channels of one gateway.
pub struct Client {
    target: Target,
    subscriptions: BTreeMap<u32, (String, Follow)>,
    last_alias: u32,
    link: Option<Link>,
    /// The gateway wants the link to end: another is made while it still serves.
    leaving: bool,
    /// The attempt to connect that is under way.
    dialling: Option<BoxFuture<'static, Option<Dialled>>>,
    attempts: u32,
    reconnects: u64,
    told: VecDeque<(SubscriptionId, Item)>,
}

struct Link {
    dialled: Dialled,
    pings_at: Instant,
    /// When the first ping left that nothing has come after.
    asked: Option<Instant>,
    pinged: u64,
}

impl Client {
    /// Connects.
    pub async fn connect(target: Target) -> Result<Self, ClientError> {
        let dialled = dial(&with_token(&target), &target.trust).await?;
        let mut client = Self {
            target,
            subscriptions: BTreeMap::new(),
            last_alias: 0,
            link: None,
            leaving: false,
            dialling: None,
            attempts: 0,
            reconnects: 0,
            told: VecDeque::new(),
        };
        client.greet(dialled);
        Ok(client)
    }

    /// Follows a channel from some place on. With `times`, events come with the times at which they were said.
    pub fn subscribe(&mut self, channel: &str, from: From, times: bool) -> SubscriptionId {
        self.last_alias += 1;
        let alias = self.last_alias;
        let mut follow = Follow::new(from, times);
        let wanted = follow.subscribe(alias, channel);
        self.subscriptions.insert(alias, (channel.to_owned(), follow));
        self.say(u64::from(alias), Request::Subscribe(wanted));
        SubscriptionId(alias)
    }

    /// Follows one channel, as a stream that ends with the subscription.
    pub fn follow(
        mut self,
        channel: &str,
        from: From,
        times: bool,
    ) -> impl Stream<Item = Result<Item, ClientError>> {
        self.subscribe(channel, from, times);
        futures_util::stream::unfold(Some(self), async |client| {
            let mut client = client?;
            match client.next().await {
                Ok((_, item)) => {
                    let goes_on = !matches!(item, Item::End { .. });
                    Some((Ok(item), goes_on.then_some(client)))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Leaves a channel; whatever runs there goes on. What is on its way is not told any more.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        let SubscriptionId(alias) = id;
        self.told.retain(|(other, _)| *other != id);
        if self.subscriptions.remove(&alias).is_some() {
            self.say(0, Request::Unsubscribe(proto::Unsubscribe { alias }));
        }
    }

    /// Whether a connection stands, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// How often the connection was made again.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Drops the connection; the next [`Client::next`] makes another and resumes.
    pub fn drop_connection(&mut self) {
        self.link = None;
    }

    /// What comes next on any subscription. Reconnects and resumes for as long as it takes; without a subscription it
    /// waits. Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Refused`] and [`ClientError::Broken`] concern one subscription, which is given up; the others go on.
    /// After [`ClientError::Closed`] the client may be used again, but will most likely be told the same.
    pub async fn next(&mut self) -> Result<(SubscriptionId, Item), ClientError> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            let Some(link) = &mut self.link else {
                if let Some(dialled) =
                    redial(&mut self.dialling, &self.target, &mut self.attempts).await
                {
                    self.moved(dialled);
                }
                continue;
            };
            // Not one that has only just come: where every gateway goes away this would go round and round.
            let moves = self.leaving && link.pinged > 0;
            let next = redial(&mut self.dialling, &self.target, &mut self.attempts);
            tokio::select! {
                message = link.dialled.next() => match message {
                    Ok(message) => {
                        link.asked = None;
                        self.take(message)?;
                    }
                    Err(_) => self.link = None,
                },
                () = sleep_until(link.pings_at) => self.ping(),
                // The one that ends still serves until the next one stands.
                Some(dialled) = next, if moves => self.moved(dialled),
            }
        }
    }

    fn ping(&mut self) {
        let Some(link) = &mut self.link else { return };
        let now = Instant::now();
        if now >= *link.asked.get_or_insert(now) + SILENCE_MAX {
            self.link = None;
            return;
        }
        link.pings_at = now + HEARTBEAT;
        link.pinged += 1;
        let nonce = link.pinged;
        self.say(0, Request::Ping(proto::Ping { nonce }));
    }

    fn take(&mut self, message: Message) -> Result<(), ClientError> {
        let bad = |error: prost::DecodeError| Broken::NotUnderstood(error.to_string());
        match message {
            Message::Frame(bytes) => {
                let frame = proto::Frame::decode(bytes).map_err(bad)?;
                let alias = frame.alias;
                // One that was given up may still have frames on their way.
                if let Some((_, follow)) = self.subscriptions.get_mut(&alias) {
                    let item = follow.frame(frame)?;
                    self.tell(alias, item);
                }
            }
            Message::Control(bytes) => {
                let message = proto::ServerMessage::decode(bytes).map_err(bad)?;
                if let Some(server_message::Body::Control(control)) = message.body
                    && let Some(answer) = control.body
                {
                    self.answered(answer)?;
                }
            }
        }
        Ok(())
    }

    fn answered(&mut self, answer: Answer) -> Result<(), ClientError> {
        match answer {
            Answer::Welcome(_) => self.attempts = 0,
            Answer::Subscribed(subscribed) => {
                if let Some((_, follow)) = self.subscriptions.get_mut(&subscribed.alias) {
                    let items = follow.subscribed(&subscribed)?;
                    self.tell(subscribed.alias, items);
                }
            }
            Answer::Refused(refused) => {
                if let Some((channel, _)) = self.subscriptions.remove(&refused.alias) {
                    let proto::Refused { code, message, .. } = refused;
                    return Err(ClientError::Refused { channel, code, message });
                }
            }
            Answer::Closing(proto::Closing { code, message, retry }) => {
                self.link = None;
                if !retry {
                    return Err(ClientError::Closed { code, message });
                }
            }
            Answer::GoAway(_) => self.leaving = true,
            Answer::Done(_) | Answer::Published(_) | Answer::Pong(_) => {}
        }
        Ok(())
    }

    fn tell(&mut self, alias: u32, items: impl IntoIterator<Item = Item>) {
        self.told.extend(items.into_iter().map(|item| (SubscriptionId(alias), item)));
        if self.subscriptions.get(&alias).is_some_and(|(_, follow)| follow.has_ended()) {
            self.subscriptions.remove(&alias);
        }
    }

    fn moved(&mut self, dialled: Dialled) {
        self.reconnects += 1;
        self.greet(dialled);
    }

    /// Says hello, with everything that is to be resumed.
    fn greet(&mut self, dialled: Dialled) {
        let pings_at = Instant::now() + HEARTBEAT;
        self.leaving = false;
        self.link = Some(Link { dialled, pings_at, asked: None, pinged: 0 });
        let subscriptions = self.subscriptions.iter_mut();
        let hello = proto::Hello {
            protocol: 1,
            client: concat!("tokenway-native/", env!("CARGO_PKG_VERSION")).into(),
            tokens: self.target.token.clone().into_iter().collect(),
            subscriptions: subscriptions
                .map(|(alias, (channel, follow))| follow.subscribe(*alias, channel))
                .collect(),
            ..proto::Hello::default()
        };
        self.say(0, Request::Hello(hello));
    }

    /// Says something, if there is somebody to say it to; hello says the rest.
    fn say(&mut self, request: u64, body: Request) {
        if let Some(link) = &mut self.link {
            link.dialled.send(&proto::ClientMessage { request, body: Some(body) });
        }
    }
}

/// Goes on with the attempt that is under way, or begins one.
async fn redial(
    dialling: &mut Option<BoxFuture<'static, Option<Dialled>>>,
    target: &Target,
    attempts: &mut u32,
) -> Option<Dialled> {
    let under_way = dialling.get_or_insert_with(|| attempt(target.clone(), *attempts).boxed());
    let dialled = under_way.await;
    *dialling = None;
    *attempts += 1;
    dialled
}

/// One attempt to connect. It takes its full time where it fails at once, so that a gateway that is down is not knocked
/// down.
async fn attempt(target: Target, attempts: u32) -> Option<Dialled> {
    let patience = patience(attempts).mul_f64(rand::rng().random_range(0.8..1.2));
    let until = Instant::now() + patience;
    match timeout_at(until, dial(&with_token(&target), &target.trust)).await {
        Ok(Ok(dialled)) => return Some(dialled),
        Ok(Err(error)) => tracing::debug!(%error, "not reconnected yet"),
        Err(_) => tracing::debug!("an attempt to reconnect took too long"),
    }
    sleep_until(until).await;
    None
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connected = self.is_connected();
        let mut out = f.debug_struct("Client");
        out.field("connected", &connected).field("subscriptions", &self.subscriptions.len());
        out.finish_non_exhaustive()
    }
}

/// How long the attempt may take: short at first, so that a gateway that comes back is found at once, then longer, so
/// that a far one is reached at all.
fn patience(attempts: u32) -> Duration {
    let doublings = (attempts / 4).min(8);
    (PATIENCE_FIRST * 2u32.pow(doublings)).min(PATIENCE_MAX)
}

fn with_token(target: &Target) -> String {
    match &target.token {
        Some(token) => format!("{}?token={token}", target.url),
        None => target.url.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_quick_at_first_and_patient_later() {
        assert_eq!(patience(0), PATIENCE_FIRST);
        assert_eq!(patience(3), PATIENCE_FIRST);
        assert_eq!(patience(4), 2 * PATIENCE_FIRST);
        assert_eq!(patience(1_000), PATIENCE_MAX);
    }

    #[test]
    fn the_token_travels_in_the_query() {
        let target = Target {
            url: "https://localhost:1/v1/connect".into(),
            trust: Trust::Authorities,
            token: Some("abc".into()),
        };
        assert_eq!(with_token(&target), "https://localhost:1/v1/connect?token=abc");
    }
}
