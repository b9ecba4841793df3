//! A certificate from an authority: got, kept, renewed, and refused, over real sockets. The authority is a stand-in that
//! checks what a real one checks: signatures, nonces, and that the names lead to the gateway.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]

mod authority;
mod proof;

use std::{net::SocketAddr, path::Path, time::Duration};

use authority::{Authority, soon};
use tokenway::{
    config::{Config, Environment},
    gateway::Gateway,
    native::{Client, Target},
    transport::webtransport::Trust,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// A gateway that serves.
struct Serving {
    http: SocketAddr,
    webtransport: SocketAddr,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Serving {
    /// Begins; the authority's questions about TLS come to it.
    async fn start(authority: &Authority, state_dir: &Path, http: Option<SocketAddr>) -> Self {
        let plain = http;
        let http = http.map_or(String::new(), |address| format!(", http: \"{address}\""));
        let yaml = format!(
            "version: 1\nlisten: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
             tls: {{ acme: {{ domains: [localhost], contact: ops@example.com, directory: \"{}\", roots: \"{}\"{http} }} }}\n\
             providers: {{ sim: {{ dialect: simulator }} }}\n\
             models: {{ fast: {{ targets: [{{ provider: sim, model: sim-text }}] }} }}\n",
            authority.directory(),
            authority.roots().display()
        );
        let config = Config::parse("test.yaml", &yaml, &Environment::default());
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::bind(config, state_dir.to_owned()).await.expect("it binds");
        let (http, webtransport) = (gateway.http_addr(), gateway.webtransport_addr());
        authority.find_names_at(http, plain);
        let (shutdown, told) = oneshot::channel::<()>();
        let served = tokio::spawn(gateway.serve(async {
            let _ = told.await;
        }));
        Self { http, webtransport, shutdown, served }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.http.port())
    }

    async fn stop(self) {
        let _ = self.shutdown.send(());
        soon("the gateway has ended", self.served).await.expect("it does not panic");
    }
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

/// Until a client that trusts the authority is served.
async fn trusted(authority: &Authority, gateway: &Serving) {
    soon("the certificate is there", async {
        while authority.client().get(gateway.url("/healthz")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_got_by_tls_and_kept() {
    let authority = Authority::start().await;
    let state = tempfile::tempdir().expect("a directory");
    let gateway = Serving::start(&authority, state.path(), None).await;
    trusted(&authority, &gateway).await;
    assert_eq!((authority.accounts(), authority.issued().len()), (1, 1));
    assert_eq!(authority.contacts(), ["mailto:ops@example.com"]);
    // WebTransport has it, too.
    let hash = *authority.issued().last().expect("one");
    let url = format!("https://localhost:{}/v1/connect", gateway.webtransport.port());
    let target = Target { url, trust: Trust::Hashes(vec![hash]), token: None };
    Client::connect(target).await.expect("it is shown");
    // Nobody but an authority speaks like one.
    let refused = proof::of_name(gateway.http, "localhost").await;
    assert!(refused.is_err(), "the question is over, and so is the answer");
    gateway.stop().await;
    #[cfg(unix)]
    for entry in std::fs::read_dir(state.path().join("acme")).expect("readable") {
        use std::os::unix::fs::PermissionsExt;
        let mode = entry.expect("an entry").metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let gateway = Serving::start(&authority, state.path(), None).await;
    let answer = authority.client().get(gateway.url("/healthz")).send().await;
    assert_eq!(answer.expect("at once").status(), 200);
    assert_eq!((authority.accounts(), authority.issued().len()), (1, 1), "nothing is asked again");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_nearly_over_is_renewed_by_plain_http() {
    let authority = Authority::start().await;
    let state = tempfile::tempdir().expect("a directory");
    let plain = free_port();
    authority.issue_nearly_over(true);
    let gateway = Serving::start(&authority, state.path(), Some(plain)).await;
    trusted(&authority, &gateway).await;
    assert_eq!(authority.issued().len(), 1);
    let stranger = reqwest::get(format!("http://{plain}/.well-known/acme-challenge/x")).await;
    assert_eq!(stranger.expect("an answer").status(), 404);
    gateway.stop().await;

    authority.issue_nearly_over(false);
    let gateway = Serving::start(&authority, state.path(), Some(plain)).await;
    let renewed = async {
        while authority.issued().len() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("it is renewed", renewed).await;
    trusted(&authority, &gateway).await;
    assert_eq!(authority.accounts(), 1, "by the same account");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_the_gateway_serves_on() {
    let authority = Authority::start().await;
    let state = tempfile::tempdir().expect("a directory");
    let gateway = Serving::start(&authority, state.path(), None).await;
    // The name leads elsewhere.
    authority.find_names_at(free_port(), None);
    let careless =
        reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build();
    let careless = careless.expect("a client");
    soon("the refusal is counted", async {
        loop {
            let answer = careless.get(gateway.url("/metrics")).send().await.expect("it serves");
            let text = answer.text().await.expect("text");
            if text.contains("tokenway_certificate_reloads_total{outcome=\"refused\"} 1\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(authority.client().get(gateway.url("/healthz")).send().await.is_err());
    assert_eq!(authority.issued().len(), 0);
    gateway.stop().await;
}
