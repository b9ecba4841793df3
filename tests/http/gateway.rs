//! A gateway on a port of its own, and what apps and viewers do with it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokenway::{
    config::{Config, Environment},
    gateway::{Gateway, Source},
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use crate::{soon, sse::Sse, upstream::Upstream};

/// The provider's key, which nobody but the provider may ever see.
pub(crate) const KEY: &str = "sk-upstream-secret";

/// A gateway that serves.
pub(crate) struct Tokenway {
    pub(crate) addr: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) scheme: &'static str,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
    state_dir: tempfile::TempDir,
}

/// A gateway with one model, `fast`, at one provider, `up`, which the test plays.
pub(crate) async fn with_upstream() -> (Tokenway, Upstream) {
    with("", |_| {}).await
}

/// The same, with YAML for the model's `timeouts`, and the config adjusted beyond what a file may say.
pub(crate) async fn with(timeouts: &str, adjust: impl FnOnce(&mut Config)) -> (Tokenway, Upstream) {
    let upstream = Upstream::bind().await;
    let gateway = Tokenway::start(upstream.addr(), timeouts, adjust).await;
    (gateway, upstream)
}

impl Tokenway {
    pub(crate) async fn start(
        upstream: SocketAddr,
        timeouts: &str,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let yaml = format!(
            r#"
version: 1
listen: {{ http: "127.0.0.1:0", webtransport: "127.0.0.1:0" }}
providers:
  up: {{ dialect: openai, base_url: "http://{upstream}/v1", api_key: {KEY} }}
  sim: {{ dialect: simulator, tokens_per_second: 2000 }}
models:
  fast: {{ targets: [ {{ provider: up, model: up-model }} ], timeouts: {{ {timeouts} }} }}
  sim: {{ targets: [ {{ provider: sim, model: sim-text }} ], timeouts: {{ {timeouts} }} }}
"#
        );
        Self::of(&yaml, adjust).await
    }

    /// A gateway with a config of the test's own, which begins with its providers.
    pub(crate) async fn of(yaml: &str, adjust: impl FnOnce(&mut Config)) -> Self {
        let yaml = match yaml.contains("version:") {
            true => yaml.to_owned(),
            false => format!(
                "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n{yaml}"
            ),
        };
        let environment = Environment::default();
        let mut config = Config::parse("test.yaml", &yaml, &environment).expect("a valid config");
        // What a provider does is told as it is, unless the test is about trying again.
        config.models.iter_mut().for_each(|model| model.failover.retries = 0);
        adjust(&mut config);
        Self::serving(config).await
    }

    /// A gateway of any config.
    pub(crate) async fn serving(config: Config) -> Self {
        Self::bound(config, |_| {}).await
    }

    /// A gateway that takes up what becomes of a file; and what asks it to look at once.
    pub(crate) async fn following(file: &Path) -> (Self, Arc<Notify>) {
        let environment = Environment::default();
        let source = Source { file: file.to_owned(), environment, http: None, webtransport: None };
        let config = source.load().expect("a valid config");
        let mut reload = None;
        let gateway = Self::bound(config, |gateway| {
            gateway.follow(source);
            reload = Some(gateway.reload());
        });
        (gateway.await, reload.expect("it was bound"))
    }

    /// Stops it, and starts one that finds what it has kept.
    pub(crate) async fn again(self, config: Config) -> Self {
        let Self { shutdown, served, state_dir, .. } = self;
        let _ = shutdown.send(());
        soon("the gateway has ended", served).await.expect("it does not panic");
        Self::bound_in(state_dir, config, |_| {}).await
    }

    async fn bound(config: Config, prepare: impl FnOnce(&mut Gateway)) -> Self {
        let state_dir = tempfile::tempdir().expect("a directory");
        Self::bound_in(state_dir, config, prepare).await
    }

    async fn bound_in(
        state_dir: tempfile::TempDir,
        config: Config,
        prepare: impl FnOnce(&mut Gateway),
    ) -> Self {
        let gateway = Gateway::bind(config, state_dir.path().to_owned()).await;
        let mut gateway = gateway.expect("it binds");
        prepare(&mut gateway);
        let addr = gateway.http_addr();
        let (shutdown, told) = oneshot::channel::<()>();
        let served = tokio::spawn(gateway.serve(async {
            let _ = told.await;
        }));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { addr, http, scheme: "http", shutdown, served, state_dir }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str, body: impl ToString) -> RequestBuilder {
        let request = self.http.post(self.url(path)).body(body.to_string());
        request.header("content-type", "application/json")
    }

    /// A chat call.
    pub(crate) fn chat(&self, body: Value) -> RequestBuilder {
        self.post("/v1/chat/completions", body)
    }

    /// A call that streams.
    pub(crate) fn streamed(&self) -> RequestBuilder {
        self.chat(asked(true))
    }

    /// A channel's state.
    pub(crate) async fn state(&self, channel: &str) -> Value {
        let response = send(self.get(&format!("/v1/channels/{channel}"))).await;
        assert_eq!(response.status(), 200);
        body(response).await
    }

    /// A channel's state once it is as `wanted` has it. Asking does not count as being there.
    pub(crate) async fn state_when(&self, channel: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        soon("the state is as it should be", async {
            loop {
                let state = self.state(channel).await;
                if wanted(&state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// The state of a channel's first generation once it has ended.
    pub(crate) async fn ended(&self, channel: &str) -> Value {
        let state =
            self.state_when(channel, |state| state["generations"][0]["state"] != "running").await;
        state["generations"][0].clone()
    }

    /// The channel's SSE view from the beginning.
    pub(crate) async fn view(&self, channel: &str) -> Sse {
        Sse::of(send(self.get(&format!("/v1/channels/{channel}/events"))).await)
    }

    /// Shuts down and waits until everything has ended.
    pub(crate) async fn stop(self) {
        self.begin_stop().await;
    }

    /// Begins to shut down; what is returned resolves when everything has ended.
    pub(crate) fn begin_stop(self) -> impl Future<Output = ()> {
        let Self { shutdown, served, state_dir, .. } = self;
        let _ = shutdown.send(());
        async move {
            soon("the gateway has ended", served).await.expect("it does not panic");
            drop(state_dir);
        }
    }
}

/// What an app asks.
pub(crate) fn asked(stream: bool) -> Value {
    json!({ "model": "fast", "stream": stream, "messages": [{ "role": "user", "content": "Hi" }] })
}

pub(crate) async fn send(request: RequestBuilder) -> Response {
    soon("the gateway answers", request.send()).await.expect("an answer")
}

/// A call that is on its way while the test plays the provider.
pub(crate) fn sent(request: RequestBuilder) -> JoinHandle<Response> {
    tokio::spawn(send(request))
}

/// A streamed call that is on its way.
pub(crate) async fn stream_of(call: JoinHandle<Response>) -> Sse {
    Sse::of(call.await.expect("a response"))
}

/// A body of JSON.
pub(crate) async fn body(response: Response) -> Value {
    let bytes = soon("the body comes", response.bytes()).await.expect("a whole body");
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"))
}

pub(crate) fn header<'a>(response: &'a reqwest::header::HeaderMap, name: &str) -> &'a str {
    let value = response.get(name).unwrap_or_else(|| panic!("no header {name}: {response:?}"));
    value.to_str().expect("text")
}

/// The status and the body of a refusal.
pub(crate) async fn refusal(request: RequestBuilder) -> (u16, Value) {
    let response = send(request).await;
    (response.status().as_u16(), body(response).await)
}
