//! Talks with the authority: an account, an order, proof, and the certificate.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeHandle, ChallengeType,
    Error, HttpClient, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::{Challenges, Kept};
use crate::config;

/// How long one answer of the authority may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long it may take to be convinced, and to sign: some look from several places, one after another.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// What no answer of an authority reaches.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Who signs.
pub(super) struct Authority {
    settings: config::Acme,
    client: reqwest::Client,
    challenges: Arc<Challenges>,
}

impl Authority {
    pub(super) fn new(settings: config::Acme, challenges: Arc<Challenges>) -> Result<Self, String> {
        let roots = settings.roots.as_deref().map(roots).transpose()?.unwrap_or_default();
        let client = reqwest::Client::builder()
            .https_only(true)
            .timeout(ANSWER_WAIT)
            .tls_certs_merge(roots)
            .no_proxy();
        let client = client.build().map_err(|error| format!("acme: {error}"))?;
        Ok(Self { settings, client, challenges })
    }

    /// A new certificate, after its key, in PEM. The answers to the authority's questions are left behind.
    pub(super) async fn obtain(&self, kept: &Kept) -> Result<String, String> {
        let account = self.account(kept).await?;
        let names: Vec<_> = self.settings.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(told)?;
        self.prove(&mut order).await?;
        match order.poll_ready(&PATIENCE).await.map_err(told)? {
            OrderStatus::Ready => {}
            _ => return Err(doubts(&mut order).await),
        }
        let key = order.finalize().await.map_err(told)?;
        let chain = order.poll_certificate(&PATIENCE).await.map_err(told)?;
        Ok(format!("{key}{chain}"))
    }

    /// The one that is kept, or a new one.
    async fn account(&self, kept: &Kept) -> Result<Account, String> {
        let builder = Account::builder_with_http(Box::new(Http(self.client.clone())));
        if let Some(known) = kept.account()? {
            let known = serde_json::from_slice(&known)
                .map_err(|_| "the account that is kept cannot be read".to_owned())?;
            return builder.from_credentials(known).await.map_err(told);
        }
        let contact = self.settings.contact.as_ref().map(|it| format!("mailto:{it}"));
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.settings.directory.to_string();
        let (account, credentials) = builder.create(&new, directory, None).await.map_err(told)?;
        let json = serde_json::to_vec(&credentials).map_err(|error| error.to_string())?;
        kept.keep_account(&json).await?;
        Ok(account)
    }

    /// Lays out an answer for each name, and says so.
    async fn prove(&self, order: &mut Order) -> Result<(), String> {
        let kind = match self.settings.http {
            Some(_) => ChallengeType::Http01,
            None => ChallengeType::TlsAlpn01,
        };
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(told)?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                other => return Err(format!("the authority has an authorization {other:?}")),
            }
            let challenge = authorization.challenge(kind.clone());
            let mut challenge = challenge.ok_or_else(|| match self.settings.http {
                Some(_) => "the authority offers no HTTP-01".to_owned(),
                None => "the authority offers no TLS-ALPN-01; `tls.acme.http` chooses HTTP-01"
                    .to_owned(),
            })?;
            self.lay_out(&challenge)?;
            challenge.set_ready().await.map_err(told)?;
        }
        Ok(())
    }

    fn lay_out(&self, challenge: &ChallengeHandle<'_>) -> Result<(), String> {
        let answer = challenge.key_authorization();
        if self.settings.http.is_some() {
            let mut texts = self.challenges.texts.write();
            texts.insert(challenge.token.clone(), answer.as_str().to_owned());
            return Ok(());
        }
        let name = challenge.identifier().to_string();
        let proof = proof(&name, answer.digest().as_ref()).map_err(|error| error.to_string())?;
        self.challenges.proofs.write().insert(name, Arc::new(proof));
        Ok(())
    }
}

/// A certificate with the digest in it that only the account's owner knows (RFC 8737, section 3).
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = CryptoProvider::get_default().expect("the gateway has installed one");
    // Not `from_der`, which refuses a certificate with a critical extension that it does not know.
    Ok(CertifiedKey::new(vec![certificate], provider.key_provider.load_private_key(private)?))
}

/// Why the authority was not convinced, as it says it of each name.
async fn doubts(order: &mut Order) -> String {
    let mut said = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        said.extend(errors.map(|error| format!("{name}: {error}")));
    }
    format!("the authority is not convinced: {}", said.join("; "))
}

/// What an error says, with what is behind it.
fn told(error: Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(behind) = source {
        text = format!("{text}: {behind}");
        source = behind.source();
    }
    text
}

fn roots(file: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let read = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    reqwest::Certificate::from_pem_bundle(&read)
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The one HTTP library there is, for the protocol's library.
struct Http(reqwest::Client);

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let request = request.map(reqwest::Body::wrap);
            let request = reqwest::Request::try_from(request).map_err(other)?;
            let mut response = client.execute(request).await.map_err(other)?;
            let mut whole = BytesMut::new();
            while let Some(more) = response.chunk().await.map_err(other)? {
                if whole.len() + more.len() > ANSWER_BYTES_MAX {
                    return Err(Error::Str("an answer of a sensible size"));
                }
                whole.extend_from_slice(&more);
            }
            let (mut parts, ()) = http::Response::new(()).into_parts();
            parts.status = response.status();
            parts.headers = response.headers().clone();
            Ok(BytesResponse { parts, body: Box::new(whole.freeze()) })
        })
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(Box::new(error))
}
