//! Gets the gateway's certificate from an authority that speaks ACME (RFC 8555), and the next before it runs out.
//!
//! The authority wants proof that a name leads here: a certificate that is shown to it alone, in a TLS handshake on the HTTP
//! port (TLS-ALPN-01, RFC 8737), or, with an address of its own, a text over plain HTTP (HTTP-01). The account and the
//! certificate are kept under the state directory, readable by their owner only. Until there is one that is valid, one
//! that nobody trusts is shown, and the log says why. Wildcards, which want DNS-01, are not done.

mod authority;
mod kept;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path as InPath, State},
    http::StatusCode,
    routing::get,
};
use parking_lot::RwLock;
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    Lasting,
    front::{self, front},
    tls::{self, Loaded},
};
use crate::{clock, config};
use authority::Authority;
use kept::Kept;

/// What an authority offers, and nothing else, in a TLS-ALPN-01 handshake.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// How often to look whether the certificate is due: the wall clock may jump, and a machine sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// After as many failures; the last goes on. Let's Encrypt refuses a name after five in an hour.
const RETRY_AFTER: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
];

/// Between two certificates at least, whatever the authority's clock says.
const RENEW_EVERY_MIN_MS: u64 = 60 * 60 * 1_000;

/// What looks after the certificate.
pub(super) struct Acme {
    authority: Authority,
    kept: Kept,
    challenges: Arc<Challenges>,
    http: Option<TcpListener>,
    /// When the next certificate is to be got, in milliseconds since 1970.
    due_ms: u64,
}

/// The answers to an authority's questions, while it asks.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    /// By name, for TLS-ALPN-01.
    proofs: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    /// By token, for HTTP-01.
    texts: RwLock<HashMap<String, String>>,
}

impl Challenges {
    pub(super) fn proof(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.proofs.read().get(name).cloned()
    }

    fn clear(&self) {
        self.proofs.write().clear();
        self.texts.write().clear();
    }
}

impl Acme {
    /// What is kept under `state_dir`, or a makeshift. Err: what is wrong.
    pub(super) async fn open(
        settings: &config::Acme,
        state_dir: &Path,
    ) -> Result<(Self, Loaded), String> {
        let kept = Kept::open(settings, state_dir).await?;
        let (loaded, due_ms) = match tls::load(&kept.certificate()).await {
            Ok(loaded) => (loaded, kept.due_ms().unwrap_or_default()),
            Err(_) => (tls::load(&kept.makeshift().await?).await?, 0),
        };
        let http = settings.http.map(|address| {
            front::listen(address)
                .map_err(|error| format!("acme: cannot listen for HTTP on {address}: {error}"))
        });
        let challenges = Arc::<Challenges>::default();
        let authority = Authority::new(settings.clone(), Arc::clone(&challenges))?;
        Ok((Self { authority, kept, challenges, http: http.transpose()?, due_ms }, loaded))
    }

    pub(super) fn challenges(&self) -> Arc<Challenges> {
        Arc::clone(&self.challenges)
    }

    /// Until closing.
    pub(super) async fn run(
        mut self,
        lasting: Arc<Lasting>,
        limits: config::Limits,
        closing: CancellationToken,
    ) {
        let Some(listener) = self.http.take() else { return self.keep(&lasting, &closing).await };
        let (front, connections) =
            front(listener, None, &limits, lasting.telemetry.metrics.clone());
        let answers = front.serve(answers(self.challenges()), closing.clone());
        let end = async {
            closing.cancelled().await;
            connections.end().await;
        };
        tokio::join!(answers, end, self.keep(&lasting, &closing));
    }

    async fn keep(&mut self, lasting: &Lasting, closing: &CancellationToken) {
        let mut failures = 0;
        loop {
            let wait = Duration::from_millis(self.due_ms.saturating_sub(clock::now_ms()));
            if !wait.is_zero() {
                let looked = tokio::time::sleep(wait.min(LOOK_EVERY));
                match closing.run_until_cancelled(looked).await {
                    Some(()) => continue,
                    None => return,
                }
            }
            let Some(renewed) = closing.run_until_cancelled(self.renew()).await else { return };
            let reloads = &lasting.telemetry.metrics.certificate_reloads;
            let now_ms = clock::now_ms();
            match renewed {
                Ok(loaded) => {
                    if let Some(tls) = &lasting.tls {
                        tls.replace(loaded);
                    }
                    reloads.with(["taken"]).inc();
                    tracing::info!("a certificate came from the authority");
                    failures = 0;
                    let due_ms = self.kept.due_ms().unwrap_or_default();
                    self.due_ms = due_ms.max(now_ms + RENEW_EVERY_MIN_MS);
                }
                Err(error) => {
                    reloads.with(["refused"]).inc();
                    let again = RETRY_AFTER[failures.min(RETRY_AFTER.len() - 1)];
                    tracing::error!(
                        error,
                        again_in_seconds = again.as_secs(),
                        "no certificate came from the authority"
                    );
                    failures += 1;
                    self.due_ms = now_ms + again.as_millis() as u64;
                }
            }
        }
    }

    async fn renew(&self) -> Result<Loaded, String> {
        let obtained = self.authority.obtain(&self.kept).await;
        self.challenges.clear();
        self.kept.keep_certificate(&obtained?).await?;
        tls::load(&self.kept.certificate()).await
    }
}

/// What HTTP-01 asks for, and nothing else.
fn answers(challenges: Arc<Challenges>) -> Router {
    let answer = async |State(challenges): State<Arc<Challenges>>,
                        InPath(token): InPath<String>| {
        challenges.texts.read().get(&token).cloned().ok_or(StatusCode::NOT_FOUND)
    };
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer)).with_state(challenges)
}
