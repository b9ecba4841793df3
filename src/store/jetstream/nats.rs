//! The connection to NATS: the streams that are used, and what is asked of them. Knows no channel.
//!
//! | stream | subjects | holds |
//! | --- | --- | --- |
//! | `PREFIX_LOG` | `PREFIX.log.HASH` | what is said on each channel, in messages of records |
//! | `PREFIX_INDEX` | `PREFIX.index.HASH` | how each channel stands; one message each |
//! | `PREFIX_NODES` | `PREFIX.node.ID.beat` | that a node lives; one message each |
//! | `PREFIX_CALLS` | `PREFIX.call.HASH.GENERATION` | the calls that another node could go on with; one message each |
//! | `PREFIX_ANSWERS` | `PREFIX.answer.HASH.HASH` | where the answer of an id is, by the id and whose it is; one message each |
//!
//! Beside them, on `PREFIX.node.ID.ask` a node is asked for what only it can do.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, Request, Subscriber,
    client::RequestErrorKind,
    jetstream::{
        self, Context, ErrorCode,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
        stream::{Config, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream},
    },
};
use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::Instant};

use super::{
    super::StoreError,
    Settings,
    servers::{self, Servers},
};
use crate::ident::{ChannelKey, GenerationId, Owner};

/// How long NATS may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How long to wait before what came to nothing is tried again.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A node's last word.
pub(super) const LEAVING: &[u8] = b"leaving";

/// How long a call is kept that nobody withdraws: its node and all others are gone. And how long it is known where an answer is.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Of so many ids it is known where their answers are; of more, the oldest are forgotten.
const ANSWERS_MAX: i64 = 1_000_000;

/// What a message's subject and headers take of what it may hold, at most.
const ENVELOPE_BYTES: usize = 1 << 10;

/// The least that a message may hold, where NATS is set up so.
const PAYLOAD_BYTES_MIN: usize = 768 << 10;

/// How long it is not said again that NATS refuses messages.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What it says where there is no room.
const NO_ROOM: [ErrorCode; 5] = [
    ErrorCode::STREAM_STORE_FAILED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
];

pub(super) struct Nats {
    pub(super) client: Client,
    context: Context,
    pub(super) log: Stream<()>,
    pub(super) index: Stream<()>,
    calls: Stream<()>,
    answers: Stream<()>,
    prefix: String,
    /// How often it was connected so far.
    connected: watch::Receiver<u64>,
    /// When the log last took a message.
    took: Mutex<Instant>,
    /// What it refused messages for, and when that was written to this node's log.
    refused: Mutex<HashMap<String, Instant>>,
}

/// A stream of what is kept under subjects of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shelf {
    /// Calls that another node could go on with.
    Calls,
    /// Where answers are.
    Answers,
}

/// A message of a stream.
pub(super) struct Message {
    /// The stream's number of it.
    pub(super) at: u64,
    /// When NATS took it, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
    pub(super) payload: Bytes,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Something else stands before it than was expected.
    Overtaken,
    /// There is no room for it.
    Full,
    /// NATS did not answer: it may or may not be there.
    Unknown,
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("NATS: {error}"))
}

pub(super) fn as_ms(nanos: i128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or_default()
}

/// What stands for these in a subject.
fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hasher.update([0]);
        }
        hasher.update(part.as_bytes());
    }
    hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Nats {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, StoreError> {
        let (count, connected) = watch::channel(0);
        let count = Arc::new(count);
        let mut options = ConnectOptions::new()
            .name("tokenway")
            .connection_timeout(ANSWERS_WITHIN)
            .request_timeout(Some(ANSWERS_WITHIN))
            .ping_interval(settings.lease)
            .reconnect_delay_callback(|_| AGAIN_AFTER)
            .event_callback(move |event| {
                let count = Arc::clone(&count);
                async move {
                    match event {
                        Event::Disconnected => tracing::warn!("NATS is away"),
                        Event::Connected => {
                            tracing::info!("NATS is there");
                            count.send_modify(|count| *count += 1);
                        }
                        other => tracing::debug!(%other, "NATS"),
                    }
                }
            });
        if let Some(file) = &settings.credentials {
            let text = tokio::fs::read_to_string(file).await;
            let text = text.map_err(|error| unavailable(format!("{}: {error}", file.display())))?;
            options = options.credentials(&text).map_err(unavailable)?;
        }
        let servers = Servers::read(&settings.url).map_err(unavailable)?;
        let options = servers.logged_in(options);
        let client = options.connect(servers.addresses.as_slice()).await.map_err(unavailable)?;
        let about = client.server_info();
        servers::may_replicate(&about.version, settings.replicas).map_err(unavailable)?;
        let max_payload = about.max_payload;
        if max_payload < PAYLOAD_BYTES_MIN {
            return Err(unavailable(format!(
                "max_payload is {max_payload} bytes and must be {PAYLOAD_BYTES_MIN} at least"
            )));
        }
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWERS_WITHIN);
        let prefix = settings.prefix.clone();
        let config = |name: &str, subjects: &str, per_subject| Config {
            name: format!("{prefix}_{name}"),
            subjects: vec![format!("{prefix}.{subjects}")],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: settings.replicas,
            max_messages_per_subject: per_subject,
            allow_direct: true,
            ..Config::default()
        };
        let log = config("LOG", "log.*", -1);
        let index = config("INDEX", "index.*", 1);
        let nodes = config("NODES", "node.*.beat", 1);
        let nodes = Config { max_age: settings.lease * 100, ..nodes };
        let calls = Config { max_age: KEPT, ..config("CALLS", "call.*.*", 1) };
        let answers = config("ANSWERS", "answer.*.*", 1);
        let answers = Config { max_age: KEPT, max_messages: ANSWERS_MAX, ..answers };
        for stream in [&log, &index, &nodes, &calls, &answers] {
            let name = &stream.name;
            let there = context.get_or_create_stream(stream.clone()).await;
            there.map_err(|error| unavailable(format!("the stream {name}: {error}")))?;
        }
        let log = context.get_stream_no_info(&log.name).await.map_err(unavailable)?;
        let index = context.get_stream_no_info(&index.name).await.map_err(unavailable)?;
        let calls = context.get_stream_no_info(&calls.name).await.map_err(unavailable)?;
        let answers = context.get_stream_no_info(&answers.name).await.map_err(unavailable)?;
        let (took, refused) = (Mutex::new(Instant::now()), Mutex::default());
        Ok(Self { client, context, log, index, calls, answers, prefix, connected, took, refused })
    }

    /// A channel's part of a subject: ids and owners may hold what subjects may not.
    pub(super) fn hash(key: &ChannelKey) -> String {
        digest(&[key.owner.as_str(), key.id.as_str()])
    }

    pub(super) fn log_of(&self, key: &ChannelKey) -> String {
        format!("{}.log.{}", self.prefix, Self::hash(key))
    }

    fn index_of(&self, key: &ChannelKey) -> String {
        format!("{}.index.{}", self.prefix, Self::hash(key))
    }

    /// Generations' ids are our own, and fit into a subject.
    pub(super) fn call_of(&self, key: &ChannelKey, generation: &GenerationId) -> String {
        format!("{}.call.{}.{generation}", self.prefix, Self::hash(key))
    }

    /// An owner's answer of this id, or with `None` anybody's.
    pub(super) fn answer_of(&self, owner: Option<&Owner>, id: &str) -> String {
        let owner = owner.map_or("*".into(), |owner| digest(&[owner.as_str()]));
        format!("{}.answer.{}.{owner}", self.prefix, digest(&[id]))
    }

    pub(super) fn node(&self, node: &str, what: &str) -> String {
        format!("{}.node.{node}.{what}", self.prefix)
    }

    /// What comes of something that is asked of NATS. `None`: the connection was lost meanwhile and is there again, and whether
    /// it was done nobody says any more.
    pub(super) async fn unless_lost<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let mut connected = self.connected.clone();
        connected.mark_unchanged();
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            Ok(()) = connected.changed() => None,
        }
    }

    /// Appends to a subject of the log, if the last message there is this one (0: none). Gives its number.
    pub(super) async fn append(
        &self,
        subject: &str,
        payload: Bytes,
        last: u64,
    ) -> Result<u64, NotTaken> {
        let message = PublishMessage::build().payload(payload).expected_last_subject_sequence(last);
        let acked = self.unless_lost(async {
            match self.context.send_publish(subject.to_owned(), message).await {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            }
        });
        let Some(acked) = acked.await else { return Err(NotTaken::Unknown) };
        match acked {
            Ok(ack) => {
                *self.took.lock() = Instant::now();
                Ok(ack.sequence)
            }
            Err(error) => Err(self.not_taken(&error)),
        }
    }

    /// When the log last took a message, of any channel.
    pub(super) fn took(&self) -> Instant {
        *self.took.lock()
    }

    fn not_taken(&self, error: &PublishError) -> NotTaken {
        if error.kind() == PublishErrorKind::WrongLastSequence {
            return NotTaken::Overtaken;
        }
        if [PublishErrorKind::TimedOut, PublishErrorKind::BrokenPipe].contains(&error.kind()) {
            tracing::debug!(%error, "NATS did not take a message");
            return NotTaken::Unknown;
        }
        let now = Instant::now();
        let kind = error.to_string();
        let mut refused = self.refused.lock();
        // As often as it is tried again, and for all channels: once in a while will do.
        if refused.get(&kind).is_none_or(|said| now > *said + SAID_AGAIN_AFTER) {
            tracing::warn!(%error, "NATS refuses what is said on channels");
            refused.insert(kind, now);
        }
        let source = std::error::Error::source(error);
        let refusal = source.and_then(|it| it.downcast_ref::<jetstream::Error>());
        match refusal.is_some_and(|it| NO_ROOM.contains(&it.error_code())) {
            true => NotTaken::Full,
            false => NotTaken::Unknown,
        }
    }

    /// The last message of a subject of the log.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Message>, StoreError> {
        self.last_of(&self.log, subject).await
    }

    async fn last_of(
        &self,
        stream: &Stream<()>,
        subject: &str,
    ) -> Result<Option<Message>, StoreError> {
        let last = loop {
            // Nothing is lost by asking again.
            let last = self.unless_lost(stream.get_last_raw_message_by_subject(subject));
            if let Some(last) = last.await {
                break last;
            }
        };
        match last {
            Ok(message) => {
                let at_ms = as_ms(message.time.unix_timestamp_nanos());
                Ok(Some(Message { at: message.sequence, at_ms, payload: message.payload }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// All subjects of the index.
    pub(super) fn all_of_index(&self) -> String {
        format!("{}.index.*", self.prefix)
    }

    /// How often it was connected so far, and its changes.
    pub(super) fn connected(&self) -> watch::Receiver<u64> {
        self.connected.clone()
    }

    /// The number of the last message of the log; 0: there was none yet.
    pub(super) async fn logged(&self) -> Result<u64, StoreError> {
        Ok(self.log.get_info().await.map_err(unavailable)?.state.last_sequence)
    }

    /// What is published to a subject, outside of any stream.
    pub(super) async fn subscribe(&self, subject: String) -> Result<Subscriber, StoreError> {
        self.client.subscribe(subject).await.map_err(unavailable)
    }

    /// Asks whoever answers on a subject. `None`: nobody does.
    pub(super) async fn ask(
        &self,
        subject: String,
        payload: Bytes,
        within: Duration,
    ) -> Result<Option<Bytes>, StoreError> {
        self.fits(&payload)?;
        let request = Request::new().payload(payload).timeout(Some(within));
        let answer = self.unless_lost(self.client.send_request(subject, request)).await;
        match answer.ok_or_else(|| unavailable("the connection was lost"))? {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The number of the last message of the index; 0: there is none.
    pub(super) async fn indexed(&self) -> Result<u64, StoreError> {
        let state = self.index.get_info().await.map_err(unavailable)?.state;
        Ok(if state.messages == 0 { 0 } else { state.last_sequence })
    }

    /// Notes how a channel stands. Says whether it is there.
    pub(super) async fn note(&self, key: &ChannelKey, entry: Vec<u8>) -> bool {
        let noted = self.unless_lost(async {
            match self.context.publish(self.index_of(key), entry.into()).await {
                Ok(ack) => ack.await.is_ok(),
                Err(_) => false,
            }
        });
        noted.await.unwrap_or(false)
    }

    /// Says that this node lives. Err: NATS did not acknowledge it.
    pub(super) async fn beat(&self, node: &str) -> Result<(), ()> {
        let sent = self.context.publish(self.node(node, "beat"), Bytes::new()).await;
        let acked = match sent {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        acked.map(drop).map_err(|error| tracing::debug!(%error, "NATS took no word of life"))
    }

    /// Whether a message can hold so much.
    pub(super) fn fits(&self, payload: &Bytes) -> Result<(), StoreError> {
        let max = self.client.server_info().max_payload.saturating_sub(ENVELOPE_BYTES);
        match payload.len() > max {
            true => Err(StoreError::TooLarge { bytes: payload.len(), max }),
            false => Ok(()),
        }
    }

    /// Keeps something under a subject, in place of what was there.
    pub(super) async fn put(&self, subject: String, payload: Bytes) -> Result<(), StoreError> {
        self.fits(&payload)?;
        let sent = self.context.publish(subject, payload).await;
        sent.map_err(unavailable)?.await.map(drop).map_err(unavailable)
    }

    /// What is kept under a subject; of many, under which there are wildcards, the last.
    pub(super) async fn kept(
        &self,
        shelf: Shelf,
        subject: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        let last = self.last_of(self.shelf(shelf), subject).await?;
        Ok(last.map(|message| message.payload))
    }

    /// Forgets what is kept under a subject.
    pub(super) async fn remove(&self, shelf: Shelf, subject: String) -> Result<(), StoreError> {
        let purge = self.shelf(shelf).purge().filter(subject);
        purge.await.map(drop).map_err(unavailable)
    }

    fn shelf(&self, shelf: Shelf) -> &Stream<()> {
        match shelf {
            Shelf::Calls => &self.calls,
            Shelf::Answers => &self.answers,
        }
    }

    /// Says that this node goes, and writes nothing more.
    pub(super) async fn leave(&self, node: &str) {
        let leaving = Bytes::from_static(LEAVING);
        if let Err(error) = self.client.publish(self.node(node, "beat"), leaving).await {
            tracing::debug!(%error, "the others are not told that this node goes");
        }
    }

    /// Frees what a channel's subject of the log holds before a message.
    pub(super) async fn purge(&self, key: &ChannelKey, before: u64) -> Result<(), StoreError> {
        let purge = self.log.purge().filter(self.log_of(key)).sequence(before);
        purge.await.map(drop).map_err(unavailable)
    }

    /// Frees what the index holds of a channel, up to and with the message of this number: what was noted since stays.
    pub(super) async fn unnote(&self, key: &ChannelKey, last: u64) -> Result<(), StoreError> {
        let purge = self.index.purge().filter(self.index_of(key)).sequence(last + 1);
        purge.await.map(drop).map_err(unavailable)
    }
}
