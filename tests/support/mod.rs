//! What the delivery tests share: channels to write on, a model of what was said, and a client that checks all it gets.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message;
use rand::{Rng, rngs::StdRng};
use tokenway::{
    channel::{AppendError, Channel, Channels, Producer, Retention},
    event::{
        Custom, Event, Failed, FailureCode, FinishReason, Finished, Kind, Reasoning, Started,
        ToolArguments, ToolCall, Usage,
    },
    ident::{ChannelId, ChannelKey, Owner},
    native::{Follow, Item},
    sequence::From,
    snapshot::State,
    store::Memory,
    wire::{
        self,
        proto::{self, client_message::Body as Request, control::Body as Answer, snapshot::Cause},
    },
};
use tokio_util::sync::CancellationToken;

pub fn channels(max_bytes: usize) -> Arc<Channels> {
    let retention = Retention { after_end: Duration::from_secs(600), max_bytes };
    Arc::new(Channels::new(Arc::new(Memory::default()), retention))
}

pub fn named(channels: &Channels, id: &str) -> Arc<Channel> {
    let id = ChannelId::parse(id).expect("a channel id");
    ready(channels.open(ChannelKey { owner: Owner::default(), id })).expect("memory opens")
}

pub fn unnamed(channels: &Channels) -> Arc<Channel> {
    ready(channels.create(Owner::default())).expect("memory opens")
}

/// What the store in memory has done at once.
pub fn ready<T>(pending: impl Future<Output = T>) -> T {
    pending.now_or_never().expect("memory does not wait")
}

pub fn begin(channel: &Arc<Channel>, id: &str) -> Producer {
    let started = Started { id: id.into(), model: "test".into(), ..Started::default() };
    channel.begin(started, CancellationToken::new()).expect("the channel is open")
}

pub fn finished() -> Event {
    Event::new(Kind::Finished(Finished { reason: FinishReason::Stop, native_reason: None }))
}

/// One channel, its producers, and everything that was said on it.
pub struct Told {
    pub channel: Arc<Channel>,
    producers: Vec<Producer>,
    pub said: Vec<Event>,
    generations: u32,
}

impl Told {
    pub fn new(channel: Arc<Channel>) -> Self {
        Self::of(channel, 0)
    }

    /// Of a channel that has had so many generations.
    pub fn of(channel: Arc<Channel>, generations: u32) -> Self {
        Self { channel, producers: Vec::new(), said: Vec::new(), generations }
    }

    pub fn id(&self) -> String {
        self.channel.key().id.to_string()
    }

    pub fn is_open(&self) -> bool {
        !self.channel.status().closed
    }

    pub fn begin(&mut self) {
        let started = Started {
            id: format!("gen_{}_{}", self.id(), self.generations),
            model: "test".into(),
            created_ms: 7,
            ..Started::default()
        };
        match self.channel.begin(started.clone(), CancellationToken::new()) {
            Ok(producer) => self.producers.push(producer),
            // What runs has said too much to begin another.
            Err(AppendError::Full { .. }) => return,
            Err(error) => panic!("not begun: {error}"),
        }
        let kind = Kind::Started(started);
        self.said.push(Event { generation: self.generations, choice: 0, kind });
        self.generations += 1;
    }

    pub fn publish(&mut self, random: &mut StdRng) {
        let data = format!("{{\"n\":{}}}", random.random::<u16>());
        let custom = Custom { kind: "note".into(), data: Bytes::from(data) };
        match self.channel.publish(custom.clone()) {
            Ok(_) => self.said.push(Event::new(Kind::Custom(custom))),
            Err(AppendError::Full { .. }) => {}
            Err(error) => panic!("not published: {error}"),
        }
    }

    /// Says a few events of some generation; begins one if none runs.
    pub fn say(&mut self, random: &mut StdRng) {
        if self.producers.is_empty() || (self.producers.len() < 3 && random.random_bool(0.02)) {
            return self.begin();
        }
        let at = random.random_range(0..self.producers.len());
        let mut events: Vec<Event> =
            (0..random.random_range(1..6)).map(|_| anything(random)).collect();
        match self.producers[at].append(&mut events) {
            Ok(_) => self.said.extend(events),
            Err(AppendError::Full { .. }) => self.end(at, random),
            Err(error) => panic!("not appended: {error}"),
        }
    }

    pub fn end_one(&mut self, random: &mut StdRng) {
        if !self.producers.is_empty() {
            self.end(random.random_range(0..self.producers.len()), random);
        }
    }

    pub fn end_all(&mut self, random: &mut StdRng) {
        while !self.producers.is_empty() {
            self.end(0, random);
        }
    }

    fn end(&mut self, at: usize, random: &mut StdRng) {
        let mut producer = self.producers.swap_remove(at);
        let mut last = match random.random_bool(0.7) {
            true => [finished()],
            false => [Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamCut, "cut")))],
        };
        producer.append(&mut last).expect("a terminal event always fits");
        self.said.extend(last);
    }

    /// What folding the first `through` events gives.
    pub fn fold(&self, through: u64) -> State {
        let mut state = State::default();
        (1..).zip(&self.said[..through as usize]).for_each(|(seq, event)| {
            state.apply(seq, event.clone());
        });
        state
    }
}

pub fn anything(random: &mut StdRng) -> Event {
    let kind = match random.random_range(0..20) {
        0 => Kind::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() }),
        1 => Kind::Refusal("no".into()),
        2 => Kind::ToolCall(ToolCall { index: 0, id: "call_1".into(), ..ToolCall::default() }),
        3 => Kind::ToolArguments(ToolArguments { index: 0, arguments: "{}".into() }),
        4 => Kind::Usage(Usage { output: random.random_range(0..99), ..Usage::default() }),
        5 => Kind::Citation(Bytes::from_static(b"{\"url\":\"x\"}")),
        6 => Kind::Text("ö🙂".repeat(random.random_range(1..400))),
        _ => Kind::Text(format!("t{} ", random.random::<u16>())),
    };
    let choice = u32::from(random.random_bool(0.05));
    Event::new(kind).of_choice(choice)
}

/// Says that `ours`, which was told everything, and `theirs`, which may have given some up, are the same.
pub fn assert_same_state(ours: &State, theirs: &State) {
    let message = |state: &State| wire::snapshot_to_wire(state, String::new(), 0, Cause::Asked);
    let (ours, theirs) = (message(ours), message(theirs));
    assert_eq!(ours.generations.len(), theirs.generations.len());
    for (ours, theirs) in ours.generations.iter().zip(&theirs.generations) {
        if theirs.evicted {
            let end = |state: &proto::GenerationState| (state.started.clone(), state.state);
            assert_eq!(end(ours), end(theirs), "an evicted generation keeps its head and its end");
        } else if !ours.evicted {
            assert_eq!(ours, theirs);
        }
    }
    let kept = theirs.customs.len().min(ours.customs.len());
    let tail = |customs: &[proto::CustomState]| customs[customs.len() - kept..].to_vec();
    assert_eq!(tail(&ours.customs), tail(&theirs.customs), "the newest custom events are kept");
}

/// A subscription whose every item is held against what was said.
pub struct Checked {
    pub channel: usize,
    pub follow: Follow,
    pub state: State,
    pub told: u64,
    pub snapshots: usize,
    /// A tail has no state of what came before it.
    whole: bool,
    begun: bool,
    /// It ended before the channel did.
    left: bool,
}

impl Checked {
    pub fn new(channel: usize, from: From) -> Self {
        Self {
            channel,
            follow: Follow::new(from, false),
            state: State::default(),
            told: 0,
            snapshots: 0,
            whole: from != From::Tail,
            begun: from != From::Tail,
            left: false,
        }
    }

    pub fn check(&mut self, item: Item, told: &Told) {
        match item {
            Item::Events { first_seq, events, .. } => {
                assert!(!self.begun || first_seq == self.told + 1, "exactly once and in order");
                let (from, through) =
                    (first_seq as usize - 1, first_seq as usize - 1 + events.len());
                assert_eq!(events, told.said[from..through], "what was said");
                for (seq, event) in (first_seq..).zip(events) {
                    self.state.apply(seq, event);
                    self.told = seq;
                }
            }
            Item::Snapshot(snapshot) => {
                assert!(snapshot.through >= self.told, "a snapshot never goes back");
                self.told = snapshot.through;
                self.state = wire::snapshot_from_wire(snapshot).expect("our own message");
                assert_same_state(&told.fold(self.told), &self.state);
                self.snapshots += 1;
                self.whole = true;
            }
            Item::Rewind { .. } => panic!("nobody took the channel over"),
            Item::End { last_seq, reason } => {
                match reason {
                    proto::end::Reason::Complete => {
                        // A tail knows by its cursor where it began, whether or not it was told anything.
                        let seen = self.follow.cursor().map_or(self.told, |cursor| cursor.seq);
                        assert_eq!(last_seq, seen, "the end comes after everything");
                    }
                    _ => self.left = true,
                }
            }
        }
        self.begun = true;
    }

    /// It was told everything, and makes of it what the gateway does.
    pub fn assert_caught_up(&self, told: &Told) {
        if self.whole && !self.left {
            let (_, through, theirs) = told.channel.fold();
            assert_eq!(self.told, through);
            assert_same_state(&self.state, &theirs);
        }
    }
}

/// Many checked subscriptions over one connection after another, whatever carries them.
#[derive(Default)]
pub struct Viewer {
    pub subscriptions: HashMap<u32, Checked>,
    next_alias: u32,
}

impl Viewer {
    /// Adds a subscription; gives its alias.
    pub fn add(&mut self, checked: Checked) -> u32 {
        self.next_alias += 1;
        self.subscriptions.insert(self.next_alias, checked);
        self.next_alias
    }

    pub fn subscribe(&mut self, alias: u32, told: &[Told]) -> proto::Subscribe {
        let one = self.subscriptions.get_mut(&alias).expect("added");
        one.follow.subscribe(alias, &told[one.channel].id())
    }

    /// A hello that resumes everything.
    pub fn hello(&mut self, told: &[Told], max_streams: u32, interval_ms: u32) -> Bytes {
        self.subscriptions.retain(|_, one| !one.follow.has_ended());
        let mut aliases: Vec<u32> = self.subscriptions.keys().copied().collect();
        aliases.sort_unstable();
        let subscriptions = aliases.iter().map(|alias| self.subscribe(*alias, told)).collect();
        let hello = proto::Hello {
            protocol: 1,
            client: "test".into(),
            max_streams,
            frame_interval_ms: Some(interval_ms),
            tokens: Vec::new(),
            subscriptions,
        };
        request(0, Request::Hello(hello))
    }

    pub fn control(&mut self, answer: Answer, told: &[Told]) {
        match answer {
            Answer::Subscribed(subscribed) => {
                if let Some(one) = self.subscriptions.get_mut(&subscribed.alias) {
                    let items = one.follow.subscribed(&subscribed).expect("no gap");
                    items.into_iter().for_each(|item| one.check(item, &told[one.channel]));
                }
            }
            Answer::Refused(refused) => panic!("refused: {refused:?}"),
            Answer::Closing(closing) => panic!("closed: {closing:?}"),
            _ => {}
        }
    }

    pub fn frame(&mut self, frame: proto::Frame, told: &[Told]) {
        let one = self.subscriptions.get_mut(&frame.alias).expect("a subscription of ours");
        if let Some(item) = one.follow.frame(frame).expect("no gap") {
            one.check(item, &told[one.channel]);
        }
    }

    /// Whether everything said was told.
    pub fn is_caught_up(&self, told: &[Told]) -> bool {
        self.subscriptions.values().all(|one| {
            let head = told[one.channel].channel.head();
            one.follow.has_ended() || one.follow.cursor().is_some_and(|cursor| cursor.seq == head)
        })
    }
}

pub fn request(request: u64, body: Request) -> Bytes {
    proto::ClientMessage { request, body: Some(body) }.encode_to_vec().into()
}
