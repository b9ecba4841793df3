//! Providers that do what a script says, call by call, and a record of who was called with what, and when.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokenway::config::{Config, Environment};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    gateway::{Tokenway, header, send},
    sse::{Item, Sse},
    upstream::{self, Upstream},
};

/// What a provider does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers whole: status, more headers, body.
    Answer(&'static str, &'static str, String),
    /// Streams these payloads, and then this.
    Stream(Vec<String>, Then),
    /// Closes before it has answered.
    Close,
    /// Never answers, and waits until the gateway has gone.
    Hang,
}

/// How a stream goes on after its payloads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// A reason, usage, `[DONE]`.
    Finish,
    /// The connection closes.
    Cut,
    /// The connection is reset.
    Reset,
    /// Nothing more, until the gateway has gone.
    Hang,
    /// The stream ends as HTTP has it.
    End,
}

/// A call that a provider got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) who: &'static str,
    pub(crate) at: Instant,
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// A gateway and its scripted providers.
pub(crate) struct Stage {
    pub(crate) gateway: Tokenway,
    seen: Arc<Mutex<Vec<Seen>>>,
    players: Vec<JoinHandle<()>>,
}

/// A text that is finished.
pub(crate) fn good(text: &str) -> Act {
    Act::Stream(vec![upstream::role(), upstream::delta(text)], Then::Finish)
}

/// A text that breaks off.
pub(crate) fn torn(text: &str, then: Then) -> Act {
    Act::Stream(vec![upstream::role(), upstream::delta(text)], then)
}

/// A refusal in OpenAI's words.
pub(crate) fn refusal(status: &'static str) -> Act {
    let body = json!({ "error": { "message": format!("because {status}"), "type": "t" } });
    Act::Answer(status, "content-type: application/json\r\n", body.to_string())
}

/// An error within a stream.
pub(crate) fn error() -> String {
    r#"{"error":{"message":"overloaded","type":"server_error"}}"#.to_owned()
}

impl Stage {
    /// A gateway with a model `fast` of these providers in this order, and YAML for the model (`failover`, `on_break`, …).
    pub(crate) async fn set(model: &str, scripts: Vec<(&'static str, Vec<Act>)>) -> Self {
        Self::set_with(model, scripts, |_| {}).await
    }

    /// The same with the config adjusted.
    pub(crate) async fn set_with(
        model: &str,
        scripts: Vec<(&'static str, Vec<Act>)>,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut providers, mut targets, mut players) = (String::new(), Vec::new(), Vec::new());
        for (who, script) in scripts {
            let upstream = Upstream::bind().await;
            let addr = upstream.addr();
            providers += &format!(
                "  {who}: {{ dialect: openai, base_url: \"http://{addr}/v1\", \
                 api_keys: [{who}-key-number-one, {who}-key-number-two] }}\n"
            );
            targets.push(format!("{{ provider: {who}, model: {who}-model }}"));
            // Without a script nobody listens.
            if !script.is_empty() {
                players.push(tokio::spawn(play(who, upstream, script.into(), Arc::clone(&seen))));
            }
        }
        let yaml = format!(
            "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
             providers:\n{providers}\
             models:\n  fast: {{ targets: [ {} ], {model} }}\n\
             prices:\n  fast: {{ input: 1, output: 10 }}\n",
            targets.join(", ")
        );
        let environment = Environment::default();
        let mut config = Config::parse("test.yaml", &yaml, &environment).expect("a valid config");
        adjust(&mut config);
        Self { gateway: Tokenway::serving(config).await, seen, players }
    }

    /// A streamed call; the gateway's answer must be a stream.
    pub(crate) async fn stream(&self) -> Sse {
        Sse::of(send(self.gateway.streamed()).await)
    }

    /// Who was called, in order.
    pub(crate) fn order(&self) -> Vec<&'static str> {
        self.seen().iter().map(|seen| seen.who).collect()
    }

    /// The calls so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panicked with it").clone()
    }

    /// All events of a channel, whose seqs must have no gap.
    pub(crate) async fn events(&self, channel: &str) -> Vec<Item> {
        self.gateway.ended(channel).await;
        let events = self.gateway.view(channel).await.rest().await;
        for (seq, event) in (1..).zip(&events) {
            assert_eq!(event.seq(), seq, "{events:?}");
        }
        events
    }

    pub(crate) async fn stop(self) {
        self.gateway.stop().await;
        self.players.iter().for_each(JoinHandle::abort);
    }
}

/// What an app's stream says: the text, and the last payload.
pub(crate) async fn told(app: &mut Sse) -> (String, String) {
    let items = app.rest().await;
    let last = items.last().map(|item| item.data.clone()).unwrap_or_default();
    let texts = items.iter().filter(|item| item.data.starts_with('{')).map(|item| {
        let delta = &item.json()["choices"][0]["delta"]["content"];
        delta.as_str().unwrap_or_default().to_owned()
    });
    (texts.collect(), last)
}

pub(crate) fn channel_of(app: &Sse) -> String {
    header(&app.headers, "tokenway-channel").to_owned()
}

/// The names of events.
pub(crate) fn names(events: &[Item]) -> Vec<&str> {
    events.iter().map(|event| event.event.as_str()).collect()
}

/// The only event of a name.
pub(crate) fn only(events: &[Item], name: &str) -> Value {
    let mut all = events.iter().filter(|event| event.event == name);
    let first = all.next().unwrap_or_else(|| panic!("no {name}: {events:?}")).json();
    assert!(all.next().is_none(), "more than one {name}: {events:?}");
    first
}

async fn play(
    who: &'static str,
    upstream: Upstream,
    mut script: VecDeque<Act>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Some(act) = script.pop_front() {
        let mut call = upstream.call().await;
        let at = Instant::now();
        let key = call.header("authorization").unwrap_or_default().to_owned();
        let body = call.json();
        seen.lock().expect("nobody panicked with it").push(Seen { who, at, key, body });
        match act {
            Act::Answer(status, headers, body) => call.answer(status, headers, &body).await,
            Act::Close => call.close().await,
            Act::Hang => call.closed().await,
            Act::Stream(payloads, then) => {
                call.begin().await;
                for payload in payloads {
                    call.event(payload).await;
                }
                match then {
                    Then::Finish => call.finish().await,
                    Then::Cut => call.close().await,
                    Then::Reset => {
                        // A reset overtakes what is still on its way.
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        call.reset();
                    }
                    Then::Hang => call.closed().await,
                    Then::End => call.end().await,
                }
            }
        }
    }
}
