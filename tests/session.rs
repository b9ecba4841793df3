//! The session as a machine: requests in, answers and frames out, without a carrier.

mod support;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use prost::Message;
use support::{begin, channels, finished, named, ready, unnamed};
use tokenway::{
    channel::{Channels, GENERATIONS_MAX},
    event::Event,
    frame::{Due, Form, Outgoing},
    ident::Owner,
    sequence::Epoch,
    session::{Closing, OWN_LANES_MAX, Outbox, SUBSCRIPTIONS_MAX, Session, Settings},
    transport::Lane,
    wire::{
        Framing,
        proto::{
            self, client_message::Body as Request, control::Body as Answer, frame::News,
            server_message, subscribe,
        },
    },
};
use tokio::time::Instant;

/// Records what was written. Lanes take what `room` says, in frames; without an entry, everything.
#[derive(Default)]
struct Recorder {
    written: HashMap<Lane, BytesMut>,
    room: HashMap<Lane, usize>,
    finished: Vec<Lane>,
    order: Vec<Lane>,
}

impl Outbox for Recorder {
    fn takes(&mut self, lane: Lane) -> bool {
        self.room.get(&lane).is_none_or(|room| *room > 0)
    }

    fn put(&mut self, lane: Lane, frame: Outgoing) {
        if let Some(room) = self.room.get_mut(&lane) {
            *room -= 1;
        }
        let written = self.written.entry(lane).or_default();
        written.extend_from_slice(&frame.header);
        written.extend_from_slice(&frame.body);
        self.order.push(lane);
    }

    fn finish(&mut self, lane: Lane) {
        self.finished.push(lane);
    }
}

impl Recorder {
    fn messages(&mut self, lane: Lane) -> Vec<Bytes> {
        let mut framing = Framing::new(64 << 20);
        framing.push(&self.written.remove(&lane).unwrap_or_default());
        std::iter::from_fn(|| framing.pop().expect("delimited")).collect()
    }

    fn answers(&mut self) -> Vec<(u64, Answer)> {
        let control = |bytes: Bytes| {
            let message = proto::ServerMessage::decode(bytes).expect("a server message");
            match message.body {
                Some(server_message::Body::Control(control)) => {
                    (control.request, control.body.expect("an answer"))
                }
                other => panic!("control only: {other:?}"),
            }
        };
        self.messages(Lane::Control).into_iter().map(control).collect()
    }

    fn frames(&mut self, lane: Lane) -> Vec<proto::Frame> {
        let frame = |bytes: Bytes| proto::Frame::decode(bytes).expect("a frame");
        self.messages(lane).into_iter().map(frame).collect()
    }
}

struct Scene {
    channels: Arc<Channels>,
    session: Session,
    out: Recorder,
}

impl Scene {
    /// A session that has said hello and read the welcome.
    fn greeted() -> Self {
        let mut scene = Self::silent();
        scene.say(0, Request::Hello(proto::Hello { protocol: 1, ..Default::default() }));
        scene.answers();
        scene
    }

    fn silent() -> Self {
        let channels = channels(1 << 20);
        let settings = Settings::default();
        let session = Session::new(settings, Arc::clone(&channels), Owner::default(), Form::Frame);
        Self { channels, session, out: Recorder::default() }
    }

    fn say(&mut self, request: u64, body: Request) {
        self.session.receive(proto::ClientMessage { request, body: Some(body) });
    }

    fn subscribe(&mut self, alias: u32, channel: &str, from: Option<subscribe::From>) {
        let channel = channel.into();
        let wanted = proto::Subscribe { alias, channel, from, times: false, delivery: 0 };
        self.say(alias.into(), Request::Subscribe(wanted));
    }

    fn answers(&mut self) -> Vec<(u64, Answer)> {
        self.session.write_answers(&mut self.out);
        self.out.answers()
    }

    fn refusal(&mut self) -> proto::Refused {
        match &self.answers()[..] {
            [(_, Answer::Refused(refused))] => refused.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn closing(&mut self) -> String {
        match self.answers().last() {
            Some((0, Answer::Closing(closing))) => closing.code.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn tick(&mut self) {
        self.session.tick(Instant::now(), &mut self.out);
    }
}

fn beginning() -> Option<subscribe::From> {
    Some(subscribe::From::Beginning(proto::Nothing {}))
}

fn cursor(epoch: &str, seq: u64) -> Option<subscribe::From> {
    Some(subscribe::From::Cursor(proto::Cursor { epoch: epoch.into(), seq }))
}

#[tokio::test]
async fn hello_is_answered_with_what_holds_and_its_subscriptions_one_by_one() {
    let mut scene = Scene::silent();
    named(&scene.channels, "here");
    let wanted = |alias, channel: &str| proto::Subscribe {
        alias,
        channel: channel.into(),
        ..Default::default()
    };
    scene.say(
        9,
        Request::Hello(proto::Hello {
            protocol: 1,
            max_streams: 500,
            frame_interval_ms: Some(9_000),
            subscriptions: vec![wanted(1, "here"), wanted(2, "nowhere"), wanted(3, "here")],
            ..Default::default()
        }),
    );
    let answers = scene.answers();
    let [
        (9, Answer::Welcome(welcome)),
        (0, Answer::Subscribed(first)),
        (0, Answer::Refused(second)),
        (0, Answer::Subscribed(third)),
    ] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert_eq!((welcome.max_streams, welcome.frame_interval_ms), (OWN_LANES_MAX, 500));
    assert_eq!((first.alias, second.alias, third.alias), (1, 2, 3));
    assert_eq!(second.code, "channel_not_found");
}

#[tokio::test]
async fn who_does_not_keep_to_the_protocol_is_closed_with_a_code() {
    let ping = || Request::Ping(proto::Ping { nonce: 1 });
    let hello = |protocol| Request::Hello(proto::Hello { protocol, ..Default::default() });
    for (says, code) in [
        (vec![ping()], "hello_expected"),
        (vec![hello(2)], "protocol_unsupported"),
        (vec![hello(1), hello(1)], "bad_message"),
    ] {
        let mut scene = Scene::silent();
        says.into_iter().for_each(|body| scene.say(0, body));
        assert_eq!(scene.closing(), code);
        scene.say(5, ping());
        assert_eq!(scene.answers(), [], "nothing is said after the last message");
    }
    let mut scene = Scene::greeted();
    scene.session.receive(proto::ClientMessage { request: 1, body: None });
    assert_eq!(scene.closing(), "bad_message");
}

#[tokio::test]
async fn each_reason_to_refuse_a_subscription_has_its_own_code() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    begin(&channel, "gen_1").append(&mut [Event::text("hi")]).expect("open");
    let now = channel.epoch().to_string();
    let other = Epoch::from_u32(channel.epoch().as_u32().wrapping_add(1)).to_string();
    let cases = [
        ("nowhere", beginning(), "channel_not_found", ""),
        ("a/b", beginning(), "bad_channel_id", ""),
        ("chat", cursor("xyz", 1), "bad_cursor", ""),
        ("chat", cursor(&other, 1), "epoch_changed", &now),
        ("chat", cursor(&now, 99), "cursor_ahead", &now),
        ("chat", cursor(&now, u64::MAX), "cursor_ahead", &now),
    ];
    for (alias, (channel, from, code, epoch)) in (1..).zip(cases) {
        scene.subscribe(alias, channel, from);
        let refused = scene.refusal();
        assert_eq!((refused.code.as_str(), refused.alias), (code, alias));
        assert_eq!(refused.epoch, epoch);
        assert!(!refused.message.is_empty());
    }
    scene.subscribe(1, "chat", beginning());
    assert_eq!(scene.refusal().code, "bad_request", "an alias is used once, even if refused");
    assert_eq!(scene.session.subscriptions(), 0);
}

#[tokio::test]
async fn a_hello_with_more_than_fits_is_answered_as_fast_as_its_answers_are_taken() {
    let mut scene = Scene::silent();
    let wanted = |alias| proto::Subscribe { alias, channel: "nobody".into(), ..Default::default() };
    let subscriptions = (1..=5_000).map(wanted).collect();
    let hello = proto::Hello { protocol: 1, subscriptions, ..Default::default() };
    scene.say(0, Request::Hello(hello));
    // Nothing else will wake the session while its lane takes everything.
    assert_eq!(scene.answers().len(), 5_001);
}

#[tokio::test]
async fn one_long_answer_is_no_flood() {
    let mut scene = Scene::greeted();
    let chat = named(&scene.channels, "chat");
    for round in 0..GENERATIONS_MAX {
        let id = format!("gen_{round:032}");
        begin(&chat, &id).append(&mut [finished()]).expect("room");
    }
    scene.subscribe(1, "chat", beginning());
    match &scene.answers()[..] {
        [(_, Answer::Subscribed(answer))] => assert_eq!(answer.generations.len(), GENERATIONS_MAX),
        other => panic!("not subscribed: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_channel_is_not_an_unknown_one() {
    let mut scene = Scene::greeted();
    named(&scene.channels, "old");
    ready(scene.channels.sweep(Instant::now() + Duration::from_secs(601)));
    scene.subscribe(1, "old", beginning());
    assert_eq!(scene.refusal().code, "channel_evicted");
}

#[tokio::test]
async fn a_session_carries_so_many_subscriptions_and_no_more() {
    let mut scene = Scene::greeted();
    named(&scene.channels, "chat");
    for alias in 1..=SUBSCRIPTIONS_MAX as u32 {
        scene.subscribe(alias, "chat", beginning());
        scene.answers();
    }
    scene.subscribe(5_000, "chat", beginning());
    assert_eq!(scene.refusal().code, "limit");
    assert_eq!(scene.session.subscriptions(), SUBSCRIPTIONS_MAX);
}

#[tokio::test]
async fn a_ping_is_answered_at_once_and_a_client_that_never_reads_is_closed() {
    let mut scene = Scene::greeted();
    scene.say(4, Request::Ping(proto::Ping { nonce: 7 }));
    assert_eq!(scene.answers(), [(4, Answer::Pong(proto::Pong { nonce: 7 }))]);
    scene.out.room.insert(Lane::Control, 0);
    let mut asked = 0;
    while scene.session.closing().is_none() {
        scene.say(1, Request::Ping(proto::Ping { nonce: u64::MAX }));
        scene.session.write_answers(&mut scene.out);
        asked += 1;
        assert!(asked < 100_000, "what waits is bounded");
    }
    assert!(matches!(scene.session.closing(), Some(Closing::Limit(_))));
    scene.out.room.clear();
    assert_eq!(scene.closing(), "limit");
}

#[tokio::test]
async fn leaving_ends_the_subscription_and_stops_nothing() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    let mut producer = begin(&channel, "gen_1");
    scene.subscribe(1, "chat", beginning());
    scene.tick();
    scene.say(2, Request::Unsubscribe(proto::Unsubscribe { alias: 1 }));
    scene.say(3, Request::Unsubscribe(proto::Unsubscribe { alias: 77 }));
    producer.append(&mut [Event::text("unheard")]).expect("the generation goes on");
    scene.tick();
    let frames = scene.out.frames(Lane::Own(0));
    let [started, end] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((started.first_seq, started.events.len()), (1, 1));
    let unsubscribed = proto::end::Reason::Unsubscribed as i32;
    assert_eq!(end.news, Some(News::End(proto::End { reason: unsubscribed, last_seq: 2 })));
    assert_eq!(scene.out.finished, [Lane::Own(0)], "its stream ends with it");
    scene.say(4, Request::Unsubscribe(proto::Unsubscribe { alias: 1 }));
    let answers = scene.answers();
    let [_, (2, Answer::Done(_)), (3, Answer::Refused(_)), (4, Answer::Done(_))] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert_eq!(channel.status().running, 1);
}

#[tokio::test]
async fn cancel_stops_what_runs_and_is_idempotent() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    let stop = tokio_util::sync::CancellationToken::new();
    let started = tokenway::event::Started { id: "gen_1".into(), ..Default::default() };
    let mut producer = channel.begin(started, stop.clone()).expect("open");
    let cancel = |channel: &str, generation: &str| {
        let (channel, generation) = (channel.into(), generation.into());
        Request::Cancel(proto::Cancel { channel, generation })
    };
    scene.say(1, cancel("chat", "gen_other"));
    assert_eq!(scene.refusal().code, "bad_request");
    assert!(!stop.is_cancelled());
    scene.say(2, cancel("chat", ""));
    assert!(stop.is_cancelled());
    producer.append(&mut [finished()]).expect("its last event");
    scene.say(3, cancel("chat", "gen_1"));
    scene.say(4, cancel("nowhere", ""));
    scene.say(0, cancel("nowhere", ""));
    let answers = scene.answers();
    let [(2, Answer::Done(_)), (3, Answer::Done(_)), (4, Answer::Refused(refused))] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    assert_eq!(refused.code, "channel_not_found");
}

#[tokio::test]
async fn what_is_published_gets_a_seq_and_must_be_json() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    let publish = |channel: &str, kind: &str, data: &'static str| {
        let custom =
            proto::Custom { r#type: kind.into(), data: Bytes::from_static(data.as_bytes()) };
        Request::Publish(proto::Publish { channel: channel.into(), custom: Some(custom) })
    };
    scene.say(1, publish("chat", "note", "{\"a\":1}"));
    let epoch = channel.epoch().to_string();
    let published = proto::Published { channel: "chat".into(), epoch, seq: 1 };
    assert_eq!(scene.answers(), [(1, Answer::Published(published))]);
    for (request, code) in [
        (publish("chat", "note", "{"), "bad_request"),
        (publish("chat", "note", ""), "bad_request"),
        (publish("chat", "", "1"), "bad_request"),
        (publish("nowhere", "note", "1"), "channel_not_found"),
    ] {
        scene.say(2, request);
        assert_eq!(scene.refusal().code, code);
    }
    assert_eq!(channel.head(), 1, "publish never creates a channel, nor says half");
}

#[tokio::test]
async fn the_first_ones_have_their_own_stream_and_the_others_take_turns_on_one() {
    let mut scene = Scene::silent();
    let hello = proto::Hello { protocol: 1, max_streams: 1, ..Default::default() };
    scene.say(0, Request::Hello(hello));
    for (alias, id) in (1..).zip(["own", "one", "two", "three"]) {
        let channel = named(&scene.channels, id);
        channel.publish(tokenway::event::Custom::default()).expect("open");
        scene.subscribe(alias, id, beginning());
    }
    // The overflow stream takes one frame a tick.
    let mut served = Vec::new();
    for _ in 0..3 {
        scene.out.room.insert(Lane::Overflow, 1);
        scene.tick();
        served.extend(scene.out.frames(Lane::Overflow).iter().map(|frame| frame.alias));
    }
    served.sort_unstable();
    assert_eq!(served, [2, 3, 4], "nobody is served twice before everybody was served");
    assert_eq!(scene.out.frames(Lane::Own(0)).len(), 1, "and the own stream waits for none");
    scene.out.room.insert(Lane::Overflow, 1);
    assert!(!scene.session.is_unblocked(&mut scene.out), "nobody waits any more");
}

#[tokio::test]
async fn a_lane_that_takes_nothing_costs_a_cursor_and_later_gets_one_larger_slice() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    let mut producer = begin(&channel, "gen_1");
    scene.subscribe(1, "chat", beginning());
    scene.out.room.insert(Lane::Own(0), 0);
    for _ in 0..10 {
        producer.append(&mut [Event::text("x")]).expect("open");
        scene.tick();
    }
    assert!(!scene.session.is_unblocked(&mut scene.out));
    assert!(!scene.out.order.contains(&Lane::Own(0)));
    scene.out.room.insert(Lane::Own(0), 1);
    assert!(scene.session.is_unblocked(&mut scene.out));
    scene.tick();
    let frames = scene.out.frames(Lane::Own(0));
    assert_eq!(frames.iter().map(|frame| frame.events.len()).collect::<Vec<_>>(), [11]);
}

#[tokio::test(start_paused = true)]
async fn the_first_event_is_due_at_once_and_what_follows_at_the_next_tick() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    let mut producer = begin(&channel, "gen_1");
    scene.subscribe(1, "chat", beginning());
    let due = |scene: &Scene| scene.session.due(false, Instant::now());
    assert_eq!(due(&scene), Due::Now, "a new subscription is looked at");
    scene.tick();
    assert_eq!(due(&scene), Due::Never);
    producer.append(&mut [Event::text("x")]).expect("open");
    tokio::time::advance(Duration::from_millis(3)).await;
    let at = Instant::now() + Duration::from_millis(13);
    assert_eq!(scene.session.due(true, Instant::now()), Due::At(at));
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(scene.session.due(true, Instant::now()), Due::Now);
}

#[tokio::test]
async fn a_closed_channel_ends_its_subscription_after_everything() {
    let mut scene = Scene::greeted();
    let channel = unnamed(&scene.channels);
    begin(&channel, "gen_1").append(&mut [Event::text("hi"), finished()]).expect("open");
    scene.subscribe(1, channel.key().id.as_str(), None);
    scene.tick();
    let frames = scene.out.frames(Lane::Own(0));
    let [snapshot, end] = &frames[..] else { panic!("{frames:?}") };
    assert!(matches!(&snapshot.news, Some(News::Snapshot(snapshot)) if snapshot.through == 3));
    let complete = proto::end::Reason::Complete as i32;
    assert_eq!(end.news, Some(News::End(proto::End { reason: complete, last_seq: 3 })));
    assert_eq!(scene.session.subscriptions(), 0);
}

#[tokio::test]
async fn a_deleted_channel_ends_its_subscriptions() {
    let mut scene = Scene::greeted();
    let channel = named(&scene.channels, "chat");
    scene.subscribe(1, "chat", beginning());
    scene.tick();
    ready(scene.channels.delete(channel.key())).expect("nothing runs");
    scene.tick();
    let deleted = proto::end::Reason::Deleted as i32;
    let frames = scene.out.frames(Lane::Own(0));
    assert_eq!(frames[0].news, Some(News::End(proto::End { reason: deleted, last_seq: 0 })));
}

#[tokio::test]
async fn a_client_on_a_carrier_without_streams_is_told_that_there_are_none() {
    let channels = channels(1 << 20);
    let mut session = Session::new(Settings::default(), channels, Owner::default(), Form::Message);
    let hello = proto::Hello { protocol: 1, max_streams: 9, ..Default::default() };
    let body = Some(Request::Hello(hello));
    session.receive(proto::ClientMessage { request: 1, body });
    let mut out = Recorder::default();
    session.write_answers(&mut out);
    let answers = out.answers();
    assert!(matches!(&answers[..], [(1, Answer::Welcome(welcome))] if welcome.max_streams == 0));
}

#[tokio::test]
async fn a_tick_is_bounded_and_the_next_one_goes_on_where_it_stopped() {
    let mut scene = Scene::greeted();
    for (alias, id) in (1..=8).zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        let channel = named(&scene.channels, id);
        let mut producer = begin(&channel, "gen");
        producer.append(&mut [Event::text("x".repeat(250_000))]).expect("open");
        producer.append(&mut [Event::text("y".repeat(250_000)), finished()]).expect("open");
        scene.subscribe(alias, id, beginning());
    }
    let mut ticks = 0;
    while scene.session.due(false, Instant::now()) != Due::Never {
        let before = scene.out.written.values().map(BytesMut::len).sum::<usize>();
        scene.tick();
        let after = scene.out.written.values().map(BytesMut::len).sum::<usize>();
        assert!(after - before < 1_600_000, "{}", after - before);
        ticks += 1;
    }
    assert_eq!(ticks, 4, "four megabytes");
    for lane in 0..8 {
        let events: usize =
            scene.out.frames(Lane::Own(lane)).iter().map(|frame| frame.events.len()).sum();
        assert_eq!(events, 4);
    }
}
