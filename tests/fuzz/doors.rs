//! What strangers say at the doors: control messages, tokens, and what operators write: the config. Each for a stated time.
//!
//! Seconds each by `TOKENWAY_FUZZ_SECONDS`, five by default; the seed is printed, and `TOKENWAY_SEED` repeats it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prost::Message;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokenway::{
    access::{Access, Action, Caller, Pattern, Unauthorized, Wish},
    channel::{Channels, Retention},
    config::{self, Config, Environment, Key, Secret},
    frame::{Form, Outgoing},
    ident::Owner,
    session::{Outbox, Rights, Session, Settings},
    store::Memory,
    transport::Lane,
    wire::proto::{self, client_message::Body as Request},
};

const NOW_MS: u64 = 1_790_000_000_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tries again and again with other random numbers, for the stated time.
fn fuzz(what: &str, mut attempt: impl FnMut(&mut StdRng)) {
    let seconds = number("TOKENWAY_FUZZ_SECONDS").unwrap_or(5);
    let seed = number("TOKENWAY_SEED").unwrap_or_else(rand::random);
    println!("{what}: seed {seed}, {seconds} s");
    let (mut random, begun, mut count) = (StdRng::seed_from_u64(seed), Instant::now(), 0u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        attempt(&mut random);
        count += 1;
    }
    println!("{what}: {count} attempts without a finding");
    assert!(count > 100, "only {count} in {seconds} s");
}

/// Changes, repeats, drops and puts in bytes, some of them by their meaning.
fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng, words: &[&[u8]]) {
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(0..=bytes.len());
        let until = (at + random.random_range(0..32)).min(bytes.len());
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 => _ = bytes.drain(at..until),
            3 => {
                let again = bytes[at..until].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let word = words.choose(random).copied().unwrap_or_default();
                bytes.splice(at..at, word.iter().copied());
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}

/// Takes everything, and nothing now and then.
struct Nowhere {
    blocked: bool,
    bytes: usize,
}

impl Outbox for Nowhere {
    fn takes(&mut self, _: Lane) -> bool {
        !self.blocked
    }

    fn put(&mut self, _: Lane, frame: Outgoing) {
        self.bytes += frame.header.len() + frame.body.len();
    }

    fn finish(&mut self, _: Lane) {}
}

fn access() -> Arc<Access> {
    Arc::new(Access::new(&config::Access {
        keys: vec![Key::new("web", "web-key-0123456789")],
        token_secret: Some(Secret::new("a secret of thirty-two bytes, and more")),
        ..config::Access::default()
    }))
}

fn wish() -> Wish {
    Wish {
        channels: vec![Pattern::parse("chat-*").expect("a pattern")],
        allow: Action::ALL.into_iter().collect(),
        client: Some("screen".into()),
        generation: None,
    }
}

fn messages(token: &str) -> Vec<Vec<u8>> {
    let subscribe =
        |alias| proto::Subscribe { alias, channel: "chat-1".into(), ..Default::default() };
    let custom = Some(proto::Custom { r#type: "note".into(), data: "{\"a\":1}".into() });
    let bodies = [
        Request::Hello(proto::Hello {
            protocol: 1,
            client: "fuzz".into(),
            tokens: vec![token.to_owned()],
            subscriptions: vec![subscribe(1), subscribe(2)],
            ..Default::default()
        }),
        Request::Subscribe(subscribe(3)),
        Request::Unsubscribe(proto::Unsubscribe { alias: 1 }),
        Request::Cancel(proto::Cancel { channel: "chat-1".into(), generation: String::new() }),
        Request::Publish(proto::Publish { channel: "chat-1".into(), custom }),
        Request::Ping(proto::Ping { nonce: 7 }),
        Request::AddTokens(proto::AddTokens { tokens: vec![token.to_owned()] }),
    ];
    let message = |body| proto::ClientMessage { request: 1, body: Some(body) }.encode_to_vec();
    bodies.into_iter().map(message).collect()
}

#[test]
fn a_session_survives_whatever_its_client_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let retention = Retention { after_end: Duration::from_secs(60), max_bytes: 1 << 20 };
    let channels = Arc::new(Channels::new(Arc::<Memory>::default(), retention));
    let id = tokenway::ident::ChannelId::parse("chat-1").expect("an id");
    let key = tokenway::ident::ChannelKey { owner: Owner::new("web"), id };
    let _channel = runtime.block_on(channels.open(key)).expect("memory opens");
    let access = access();
    let minted = access.mint(
        &Owner::new("web"),
        &wish(),
        Duration::from_secs(3_600),
        tokenway::clock::now_ms(),
    );
    let seeds = messages(&minted.expect("a token").token);
    fuzz("control messages", |random| {
        let nobody: Result<Caller, _> = Err(Unauthorized::Nothing);
        let rights = Rights::of(nobody, &access);
        let form = if random.random() { Form::Frame } else { Form::Message };
        let mut session = Session::new(Settings::default(), Arc::clone(&channels), rights, form);
        let mut out = Nowhere { blocked: random.random_bool(0.2), bytes: 0 };
        let mut said = 0;
        for at in 0..random.random_range(1..12) {
            let mut bytes = if at == 0 && random.random_bool(0.8) {
                seeds[0].clone()
            } else {
                seeds.choose(random).expect("some").clone()
            };
            if random.random_bool(0.7) {
                mutate(&mut bytes, random, &[b"\xff\xff\xff\xff\x0f", b"\0", b"chat-1"]);
            }
            said += bytes.len();
            if let Ok(message) = proto::ClientMessage::decode(&*bytes) {
                session.receive(message);
            }
            session.write_answers(&mut out);
            session.tick(tokio::time::Instant::now(), &mut out);
            let _ = session.due(false, tokio::time::Instant::now());
        }
        assert!(session.subscriptions() <= said, "each took some bytes to ask for");
    });
}

#[test]
fn no_token_holds_but_those_that_were_signed() {
    let access = access();
    let (web, hour) = (Owner::new("web"), Duration::from_secs(3_600));
    let minted = access.mint(&web, &wish(), hour, NOW_MS).expect("a token").token;
    let words: [&[u8]; 6] = [b".", b"eyJhbGciOiJub25lIn0", b"=", b"..", b"e30", b"%00"];
    fuzz("tokens", |random| {
        let mut bytes = minted.clone().into_bytes();
        mutate(&mut bytes, random, &words);
        let text = String::from_utf8_lossy(&bytes);
        let holds = access.verify(&text, NOW_MS).is_ok();
        assert!(!holds || text == minted, "{text}");
        let known = access.authenticate([&*text], NOW_MS).is_ok();
        assert!(!known || text == minted, "{text}");
    });
}

#[test]
fn a_config_is_read_or_refused_with_its_faults() {
    let example = include_str!("../../config/tokenway.yaml");
    let small = "version: 1\nproviders: { sim: { dialect: simulator } }\nmodels: { m: { targets: [{ provider: sim }] } }\n\
                 limits: { sessions: 5, body: 1MiB }\naccess: { token_secret: \"${SECRET}\", keys: [{ name: web, key: k, limits: { concurrent: 2, budget: { day: 1 } } }] }\n";
    let environment: Environment =
        [("SECRET", "canary-of-the-secret"), ("OPENAI_API_KEY", "canary-of-the-key")]
            .into_iter()
            .collect();
    let words: [&[u8]; 10] =
        [b": ", b"- ", b"{", b"}", b"[", b"\n", b"${SECRET}", b"&a ", b"*a", b"\"\xc3\xa9\""];
    fuzz("configs", |random| {
        let mut bytes = if random.random_bool(0.2) { example } else { small }.as_bytes().to_vec();
        mutate(&mut bytes, random, &words);
        let text = String::from_utf8_lossy(&bytes);
        // A value from the environment is shown where it is no secret; in an error it is nowhere.
        if let Err(error) = Config::parse("gateway.yaml", &text, &environment) {
            assert!(!error.problems.is_empty(), "it says what is wrong");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    });
}
