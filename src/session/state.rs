//! The session as a machine without I/O.
//!
//! Client messages, `now` and ticks go in; answers and frames come out into an [`Outbox`]. It never waits and never
//! queues a frame: what a lane does not take stays in the log, behind the subscription's cursor.

mod requests;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::time::Instant;

use super::{
    OWN_LANES_MAX, Outbox, PROTOCOL,
    aliases::Aliases,
    answers::Answers,
    lanes::Lanes,
    reach::Reach,
    refusals::{Closing, Refusal},
    rights::{Permitted, Rights},
    search::{Search, Wanted},
    seated::Seated,
    subscription::{Counting, Next, Subscription},
};
use crate::{
    access::{self, Seat},
    channel::{Channels, Signal},
    clock,
    frame::{DATAGRAM_BYTES_MAX, Due, Form, FrameClock, Press},
    ident::random_id,
    telemetry::{Delivery, Metrics},
    transport::Lane,
    wire::proto::{self, client_message::Body as Request, control::Body as Answer},
};

/// The most subscriptions that a session carries at once.
pub const SUBSCRIPTIONS_MAX: usize = 1_024;

/// How long a client may take to say hello.
pub const HELLO_WAIT: Duration = Duration::from_secs(5);

/// How often clients are asked to ping.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// What was sent by datagram is repeated no sooner, also for clients that want each event as it comes.
const REPEAT_MIN: Duration = Duration::from_millis(16);

/// After so many bytes a tick leaves the rest to the next one, so that a thousand snapshots hold nobody else up.
const TICK_BYTES_MAX: usize = 1024 * 1024;

/// What every session of a gateway has in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The frame interval of clients that ask for none.
    pub frame_interval: Duration,
    /// What the gateway calls itself, e.g. `tokenway/0.1.0`.
    pub server: String,
    /// Where sessions are counted.
    pub metrics: Metrics,
}

impl Default for Settings {
    fn default() -> Self {
        let server = concat!("tokenway/", env!("CARGO_PKG_VERSION")).into();
        Self { frame_interval: Duration::from_millis(16), server, metrics: Metrics::default() }
    }
}

/// One client's session.
pub struct Session {
    id: String,
    settings: Settings,
    delivery: Arc<Delivery>,
    reach: Reach,
    signal: Signal,
    form: Form,
    phase: Phase,
    clock: FrameClock,
    press: Press,
    lanes: Lanes,
    aliases: Aliases,
    subscriptions: Vec<Subscription>,
    /// Who is asked first on the next tick: whoever its lane refused first on this one.
    turn: usize,
    answers: Answers,
    /// The hello's subscriptions that are still to be answered; bounded by the hello's own length.
    backlog: VecDeque<proto::Subscribe>,
    search: Search,
    /// A subscription came or goes.
    changed: bool,
    /// As the carrier said at the last tick.
    datagram_max: usize,
    rtt: Duration,
    /// When to look again at what is permitted.
    rights_end: Option<Instant>,
    /// Where it is counted: by its address, and by each client that its tokens name.
    seats: Seated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was said yet.
    Silent,
    Open,
    /// `Closing` was said, or waits to be written.
    Closing(Closing),
}

impl Session {
    /// A session of somebody with these rights, on a carrier that writes frames in this form.
    pub fn new(
        settings: Settings,
        channels: Arc<Channels>,
        rights: impl Into<Rights>,
        form: Form,
    ) -> Self {
        Self {
            id: random_id("ses"),
            clock: FrameClock::new(settings.frame_interval),
            delivery: Arc::new(Delivery::over(&settings.metrics, transport(form))),
            settings,
            reach: Reach::new(channels, rights.into()),
            signal: Signal::default(),
            form,
            phase: Phase::Silent,
            press: Press::new(form),
            lanes: Lanes::new(0),
            aliases: Aliases::default(),
            subscriptions: Vec::new(),
            turn: 0,
            answers: Answers::default(),
            backlog: VecDeque::new(),
            search: Search::default(),
            changed: false,
            datagram_max: 0,
            rtt: Duration::ZERO,
            rights_end: None,
            seats: Seated::default(),
        }
    }

    /// The same, counted on this seat.
    pub fn on(self, seat: Option<Seat>) -> Self {
        Self { seats: Seated::new(seat), ..self }
    }

    /// Its id, for logs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is counted.
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Raised when one of its channels has something new.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// How many subscriptions it carries.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether hello has come.
    pub fn is_greeted(&self) -> bool {
        self.phase != Phase::Silent
    }

    /// Why it closes, if it does; nothing more is read then.
    pub fn closing(&self) -> Option<&Closing> {
        match &self.phase {
            Phase::Closing(why) => Some(why),
            Phase::Silent | Phase::Open => None,
        }
    }

    /// Whether every answer was written.
    pub fn is_quiet(&self) -> bool {
        self.answers.is_empty()
    }

    /// Takes one client message.
    pub fn receive(&mut self, message: proto::ClientMessage) {
        // Judged before this one is answered: a single answer may be long.
        if self.answers.is_flooded() && self.phase == Phase::Open {
            return self.close(&Closing::Limit("answers wait unread"));
        }
        let request = message.request;
        match (&self.phase, message.body) {
            (Phase::Closing(_), _) => {}
            (_, None) => self.close(&Closing::BadMessage("a message without a body".into())),
            (Phase::Silent, Some(Request::Hello(hello))) => self.hello(request, hello),
            (Phase::Silent, Some(_)) => self.close(&Closing::HelloExpected),
            (Phase::Open, Some(Request::Hello(_))) => {
                self.close(&Closing::BadMessage("a second hello".into()));
            }
            (Phase::Open, Some(Request::Subscribe(wanted))) => self.subscribe(request, wanted),
            (Phase::Open, Some(Request::Unsubscribe(left))) => {
                let done = self.unsubscribe(left.alias).map(|()| Answer::Done(proto::Done {}));
                self.answer(request, done);
            }
            (Phase::Open, Some(Request::Cancel(cancel))) => {
                self.want(request, Wanted::Cancel(cancel));
            }
            (Phase::Open, Some(Request::AddTokens(proto::AddTokens { tokens }))) => {
                let now = Instant::now();
                let added = self.reach.rights.add(&tokens, now);
                self.rights_end = self.reach.rights.next_end(now);
                if let Err(full) = self.seats.sit(self.reach.rights.clients()) {
                    return self.close(&full.into());
                }
                self.answer(request, added.map(|()| Answer::Done(proto::Done {})));
            }
            (Phase::Open, Some(Request::Publish(publish))) => {
                // One that publishes too often is refused before anything is looked for.
                match self.seats.publish() {
                    Ok(()) => self.want(request, Wanted::Publish(publish)),
                    Err(refusal) => self.answer(request, Err(refusal)),
                }
            }
            (Phase::Open, Some(Request::Ping(proto::Ping { nonce }))) => {
                self.answers.push(request, Answer::Pong(proto::Pong { nonce }));
            }
        }
    }

    /// Says that the gateway will stop; the client may stay for `grace`.
    pub fn go_away(&mut self, grace: Duration) {
        if self.closing().is_none() {
            let grace_ms = grace.as_millis().try_into().unwrap_or(u32::MAX);
            self.answers.push(0, Answer::GoAway(proto::GoAway { grace_ms }));
        }
    }

    /// Says the last message. Subscriptions end here, and what had not been written stays in the log.
    pub fn close(&mut self, why: &Closing) {
        if self.closing().is_some() {
            return;
        }
        self.phase = Phase::Closing(why.clone());
        self.subscriptions.clear();
        self.backlog.clear();
        self.search = Search::default();
        if self.answers.is_flooded() {
            self.answers.clear();
        }
        self.answers.push(0, Answer::Closing(why.to_wire()));
    }

    /// Carries out what waited for channels that were not in memory. The task is woken when there is more.
    pub fn look(&mut self, cx: &mut Context<'_>) {
        let found = self.search.poll_found(cx);
        self.carry_out(found);
        while let Poll::Ready((request, answer)) = self.search.poll_errand(cx) {
            self.answer(request, answer);
        }
    }

    /// Writes answers. They wait for no tick.
    pub fn write_answers(&mut self, outbox: &mut impl Outbox) {
        for (request, published) in self.search.shown() {
            self.answer(request, published.map(Answer::Published));
        }
        loop {
            while self.answers.is_ample()
                && self.search.is_ample()
                && let Some(wanted) = self.backlog.pop_front()
            {
                self.subscribe(0, wanted);
            }
            // Until the lane refuses, which sees to it that the session is woken: what is left needs that.
            if !self.answers.write(outbox) || self.backlog.is_empty() {
                break;
            }
        }
    }

    /// When the next tick is due. `raised` says whether the signal is.
    pub fn due(&self, raised: bool, now: Instant) -> Due {
        let news = self.clock.due(raised || self.changed, now);
        let (again, rights) = (self.repetition(), self.rights_end);
        match (news, again.into_iter().chain(rights).min()) {
            (Due::Now, _) | (_, None) => news,
            (_, Some(at)) if at <= now => Due::Now,
            (Due::At(news), Some(at)) => Due::At(news.min(at)),
            (Due::Never, Some(at)) => Due::At(at),
        }
    }

    /// Ends what is not permitted any more.
    fn keep_to_rights(&mut self, now: Instant) {
        for one in &mut self.subscriptions {
            if self.reach.may_read(one.channel(), now) == Permitted::Never {
                one.forbid();
            }
        }
        self.rights_end = self.reach.rights.next_end(now);
        if self.is_greeted() && self.reach.rights.lapsed(now).is_some_and(|until| until <= now) {
            self.close(&Closing::Forbidden("the session has no channel token that holds".into()));
        }
    }

    /// When something that was sent by datagram is to be sent again, or by the stream.
    fn repetition(&self) -> Option<Instant> {
        let (repeat, rtt) = (self.clock.interval().max(REPEAT_MIN), self.rtt);
        let last = self.clock.last()?;
        let datagrams = self.subscriptions.iter().filter_map(Subscription::open);
        datagrams.filter_map(|open| open.due(last, repeat, rtt)).min()
    }

    /// The client has everything of a datagram subscription up to a seq.
    pub fn acknowledge(&mut self, ack: &proto::Ack) {
        let one = self.place(ack.alias).map(|place| &mut self.subscriptions[place]);
        if let Some(open) = one.and_then(Subscription::datagrams) {
            open.acknowledge(ack.seq);
        }
    }

    /// Whether a lane that refused a frame now takes one.
    pub fn is_unblocked(&self, outbox: &mut impl Outbox) -> bool {
        self.subscriptions.iter().any(|one| one.blocked && outbox.takes(one.lane))
    }

    /// Writes what is new on every subscription, as far as its lane takes it, and never waits.
    pub fn tick(&mut self, now: Instant, outbox: &mut impl Outbox) {
        self.signal.lower();
        self.changed = false;
        if self.rights_end.is_some_and(|end| end <= now) {
            self.keep_to_rights(now);
        }
        let (mut frames, mut wrote) = (0, 0);
        let now_ms = clock::now_ms();
        let mut refused = None;
        let mut ended = Vec::new();
        self.datagram_max = outbox.datagram_max().min(DATAGRAM_BYTES_MAX);
        self.rtt = outbox.rtt();
        let datagram_max = self.datagram_max;
        // Rounds of one frame each, so that a long catch-up on a shared lane takes turns with the others.
        let mut round: Vec<usize> = self.in_turn().filter(|at| self.has_news(*at)).collect();
        while !round.is_empty() {
            round.retain(|at| {
                let one = &mut self.subscriptions[*at];
                one.blocked = !outbox.takes(one.lane);
                if one.blocked {
                    refused.get_or_insert(one.alias);
                    return false;
                }
                if wrote > TICK_BYTES_MAX {
                    refused.get_or_insert(one.alias);
                    self.changed = true;
                    return false;
                }
                let (frame, goes_on) = match one.next(
                    &mut self.press,
                    datagram_max,
                    &Counting { delivery: &self.delivery, now_ms },
                ) {
                    Next::Nothing => return false,
                    Next::Datagram => return one.has_news(),
                    Next::Frame(frame) => (frame, true),
                    Next::Last(frame) => (frame, false),
                };
                frames += 1;
                wrote += frame.len();
                outbox.put(one.lane, frame);
                if !goes_on {
                    ended.push(one.alias);
                }
                goes_on && one.has_news()
            });
        }
        ended.iter().for_each(|alias| self.remove(*alias, outbox));
        wrote += self.send_datagrams(now, outbox);
        self.turn = refused.and_then(|alias| self.place(alias)).unwrap_or(0);
        if wrote > 0 {
            self.delivery.wrote(frames, wrote);
        }
        if wrote > 0 || refused.is_some() {
            self.clock.ticked(now);
        }
        // What was written is likely to go on: look again at the next tick, and spare the writers the waking.
        if wrote > 0 && !self.clock.interval().is_zero() {
            self.signal.hush();
        }
    }

    /// Sends what is open by datagram, and by the stream what was not acknowledged in time. Says how many bytes.
    fn send_datagrams(&mut self, now: Instant, outbox: &mut impl Outbox) -> usize {
        let (max, rtt) = (self.datagram_max, self.rtt);
        let (mut wrote, mut datagram) = (0, BytesMut::new());
        for one in &mut self.subscriptions {
            let (alias, lane) = (one.alias, one.lane);
            let Some(open) = one.datagrams() else { continue };
            if !open.write(alias, max, now, &mut datagram) && !datagram.is_empty() {
                // Perhaps only because of the others': the next one is its own.
                wrote += datagram.len();
                outbox.datagram(datagram.split().freeze());
                open.write(alias, max, now, &mut datagram);
            }
            while outbox.takes(lane)
                && let Some(slice) = open.pop_overdue(now, rtt)
            {
                let frame = self.press.events(alias, slice, false);
                wrote += frame.len();
                outbox.put(lane, frame);
            }
        }
        if !datagram.is_empty() {
            wrote += datagram.len();
            outbox.datagram(datagram.freeze());
        }
        wrote
    }

    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        (self.turn..self.subscriptions.len()).chain(0..self.turn)
    }

    fn has_news(&self, at: usize) -> bool {
        self.subscriptions[at].has_news()
    }

    fn place(&self, alias: u32) -> Option<usize> {
        self.subscriptions.iter().position(|one| one.alias == alias)
    }

    fn remove(&mut self, alias: u32, outbox: &mut impl Outbox) {
        let place = self.place(alias).expect("it was just written");
        let gone = self.subscriptions.swap_remove(place);
        self.lanes.release(gone.lane);
        if let Lane::Own(_) = gone.lane {
            outbox.finish(gone.lane);
        }
    }

    fn answer(&mut self, request: u64, answer: Result<Answer, Refusal>) {
        let answer = answer.unwrap_or_else(|refusal| self.refused(&refusal, 0));
        if request != 0 {
            self.answers.push(request, answer);
        }
    }

    fn hello(&mut self, request: u64, hello: proto::Hello) {
        if hello.protocol != PROTOCOL {
            return self.close(&Closing::ProtocolUnsupported(hello.protocol));
        }
        let now = Instant::now();
        // Of several tokens some may be stale: those that hold count.
        let _ = self.reach.rights.add(&hello.tokens, now);
        if self.reach.rights.lapsed(now).is_some() {
            self.delivery.refused(access::Refusal::Unauthorized.as_str());
            return self.close(&Closing::Forbidden(self.reach.rights.why_not()));
        }
        if let Err(full) = self.seats.sit(self.reach.rights.clients()) {
            return self.close(&full.into());
        }
        self.rights_end = self.reach.rights.next_end(now);
        let interval = hello.frame_interval_ms.map(|ms| Duration::from_millis(ms.into()));
        self.clock = FrameClock::new(interval.unwrap_or(self.settings.frame_interval));
        let max_streams = match (self.form, hello.max_streams) {
            (Form::Message, _) => 0,
            (Form::Frame, 0) => OWN_LANES_MAX,
            (Form::Frame, wanted) => wanted.min(OWN_LANES_MAX),
        };
        self.lanes = Lanes::new(max_streams);
        self.phase = Phase::Open;
        self.backlog = hello.subscriptions.into();
        let welcome = proto::Welcome {
            session: self.id.clone(),
            server: self.settings.server.clone(),
            max_streams,
            frame_interval_ms: self.clock.interval().as_millis() as u32,
            heartbeat_ms: HEARTBEAT.as_millis() as u32,
        };
        self.answers.push(request, Answer::Welcome(welcome));
    }

    fn refused(&self, refusal: &Refusal, alias: u32) -> Answer {
        if refusal.is_forbidden() {
            self.delivery.refused(access::Refusal::Forbidden.as_str());
        }
        Answer::Refused(refusal.to_wire(alias))
    }
}

/// The carrier, by how it writes frames.
fn transport(form: Form) -> &'static str {
    match form {
        Form::Frame => "webtransport",
        Form::Message => "websocket",
    }
}
