//! A stand-in for an authority: as much of RFC 8555 as there is between it and one who asks for certificates.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::{
    ServerConfig,
    pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{Duration as Span, OffsetDateTime};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::proof;

/// More than anything here takes on a busy machine.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), future).await;
    done.unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

/// The authority, from outside.
pub(crate) struct Authority {
    inside: Arc<Inside>,
    roots: tempfile::NamedTempFile,
}

struct Inside {
    base: String,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    counter: AtomicU64,
    state: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    nonces: HashSet<String>,
    /// By their URLs: the public point, and the thumbprint.
    accounts: HashMap<String, (Vec<u8>, String)>,
    contacts: Vec<String>,
    orders: Vec<Order>,
    issued: Vec<[u8; 32]>,
    /// Where all names lead.
    names_at: Option<SocketAddr>,
    /// Where they lead for plain HTTP.
    plain_at: Option<SocketAddr>,
    nearly_over: bool,
}

struct Order {
    name: String,
    status: &'static str,
    token: String,
    doubt: Option<String>,
    chain: Option<String>,
}

/// Who asks, and what.
struct Asked {
    account: String,
    payload: Vec<u8>,
}

impl Authority {
    pub(crate) async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let roots = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&roots, &pem).expect("written");

        let own = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&own, &issuer).expect("signed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.serialize_der()));
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("they are")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("they belong together");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("https://{}", listener.local_addr().expect("its address"));
        let inside =
            Inside { base, pem, issuer, counter: AtomicU64::new(1), state: Mutex::default() };
        let inside = Arc::new(inside);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inside));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), router));
        Self { inside, roots }
    }

    pub(crate) fn directory(&self) -> String {
        format!("{}/directory", self.inside.base)
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.roots.path().to_owned()
    }

    /// A client that trusts it, and keeps no connection.
    pub(crate) fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.inside.pem.as_bytes()).expect("PEM");
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        client.build().expect("a client")
    }

    /// Where names lead, for TLS and for plain HTTP.
    pub(crate) fn find_names_at(&self, address: SocketAddr, plain: Option<SocketAddr>) {
        let mut state = self.inside.state.lock();
        (state.names_at, state.plain_at) = (Some(address), plain);
    }

    pub(crate) fn issue_nearly_over(&self, nearly_over: bool) {
        self.inside.state.lock().nearly_over = nearly_over;
    }

    pub(crate) fn accounts(&self) -> usize {
        self.inside.state.lock().accounts.len()
    }

    pub(crate) fn contacts(&self) -> Vec<String> {
        self.inside.state.lock().contacts.clone()
    }

    /// The hashes of what it has signed.
    pub(crate) fn issued(&self) -> Vec<[u8; 32]> {
        self.inside.state.lock().issued.clone()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
                router.clone().call(request.map(Body::new))
            });
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 65_536).await.unwrap_or_default();
    let answered = match path.as_str() {
        "/directory" => Ok((StatusCode::OK, None, inside.directory())),
        "/nonce" => Ok((StatusCode::OK, None, Value::Null)),
        _ => match inside.asked(&path, &body) {
            Ok(asked) => inside.answer(&path, asked).await,
            Err(fault) => Err(fault),
        },
    };
    let mut headers = HeaderMap::new();
    let mut give = |name: &'static str, value: String| {
        headers.insert(name, value.parse().expect("plain"));
    };
    give("replay-nonce", inside.nonce());
    match answered {
        Ok((status, location, body)) => {
            if let Some(location) = location {
                give("location", location);
            }
            match body {
                Value::String(text) => (status, headers, text).into_response(),
                body => (status, headers, body.to_string()).into_response(),
            }
        }
        Err(fault) => {
            let problem =
                json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": fault });
            (StatusCode::BAD_REQUEST, headers, problem.to_string()).into_response()
        }
    }
}

type Answer = Result<(StatusCode, Option<String>, Value), String>;

impl Inside {
    fn next(&self, what: &str) -> String {
        format!("{what}-{}", self.counter.fetch_add(1, Ordering::Relaxed))
    }

    fn nonce(&self) -> String {
        let nonce = self.next("nonce");
        self.state.lock().nonces.insert(nonce.clone());
        nonce
    }

    fn directory(&self) -> Value {
        let url = |path| format!("{}/{path}", self.base);
        json!({
            "newNonce": url("nonce"),
            "newAccount": url("account"),
            "newOrder": url("order"),
            "revokeCert": url("revoke"),
            "keyChange": url("key"),
        })
    }

    /// RFC 8555, section 6: a signature by the account's key, over a fresh nonce and this very URL.
    fn asked(&self, path: &str, body: &Bytes) -> Result<Asked, String> {
        let part =
            |text: &Value| B64.decode(text.as_str().unwrap_or_default()).map_err(|_| "no base64");
        let jws: Value = serde_json::from_slice(body).map_err(|_| "no JWS")?;
        let header: Value =
            serde_json::from_slice(&part(&jws["protected"])?).map_err(|_| "no header")?;
        let mut state = self.state.lock();
        if header["alg"] != "ES256" || header["url"] != format!("{}{path}", self.base) {
            return Err("another algorithm or another URL".into());
        }
        if !state.nonces.remove(header["nonce"].as_str().unwrap_or_default()) {
            return Err("no nonce of ours".into());
        }
        let (account, point) = match header["kid"].as_str() {
            Some(kid) => (kid.to_owned(), state.accounts.get(kid).ok_or("a stranger")?.0.clone()),
            None if path == "/account" => {
                let jwk = &header["jwk"];
                let point = [vec![4], part(&jwk["x"])?, part(&jwk["y"])?].concat();
                let canonical = format!(
                    "{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}",
                    jwk["x"], jwk["y"]
                );
                let account = self.next(&format!("{}/account", self.base));
                let print = B64.encode(Sha256::digest(canonical));
                state.accounts.insert(account.clone(), (point.clone(), print));
                (account, point)
            }
            None => return Err("no account".into()),
        };
        let [protected, payload] =
            ["protected", "payload"].map(|it| jws[it].as_str().unwrap_or_default());
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(format!("{protected}.{payload}").as_bytes(), &part(&jws["signature"])?)
            .map_err(|_| "a wrong signature")?;
        Ok(Asked { account, payload: part(&jws["payload"])? })
    }

    async fn answer(&self, path: &str, asked: Asked) -> Answer {
        let payload: Value = serde_json::from_slice(&asked.payload).unwrap_or_default();
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let at = parts.get(1).and_then(|it| it.parse::<usize>().ok()).unwrap_or_default();
        match parts[..] {
            ["account"] => {
                let contacts = payload["contact"].as_array().into_iter().flatten();
                let contacts = contacts.filter_map(|it| it.as_str().map(str::to_owned));
                self.state.lock().contacts.extend(contacts);
                Ok((StatusCode::CREATED, Some(asked.account), json!({ "status": "valid" })))
            }
            ["order"] => {
                let name = payload["identifiers"][0]["value"].as_str().ok_or("no name")?;
                let mut state = self.state.lock();
                state.orders.push(Order {
                    name: name.to_owned(),
                    status: "pending",
                    token: self.next("token"),
                    doubt: None,
                    chain: None,
                });
                let at = state.orders.len() - 1;
                let location = format!("{}/order/{at}", self.base);
                Ok((StatusCode::CREATED, Some(location), self.order(&state.orders, at)))
            }
            ["order", _] => Ok((StatusCode::OK, None, self.order(&self.state.lock().orders, at))),
            ["authorization", _] => {
                Ok((StatusCode::OK, None, self.authorization(&self.state.lock().orders[at], at)))
            }
            ["challenge", _, kind] => {
                self.challenge(at, kind, &asked.account).await;
                Ok((StatusCode::OK, None, self.asks(&self.state.lock().orders[at], at, kind)))
            }
            ["finalize", _] => {
                let csr = payload["csr"].as_str().ok_or("no CSR")?;
                self.sign(at, &B64.decode(csr).map_err(|_| "no base64")?)?;
                Ok((StatusCode::OK, None, self.order(&self.state.lock().orders, at)))
            }
            ["certificate", _] => {
                let chain = self.state.lock().orders[at].chain.clone();
                Ok((StatusCode::OK, None, chain.ok_or("none yet")?.into()))
            }
            _ => Err(format!("nothing at {path}")),
        }
    }

    fn order(&self, orders: &[Order], at: usize) -> Value {
        let mut order = json!({
            "status": orders[at].status,
            "identifiers": [{ "type": "dns", "value": orders[at].name }],
            "authorizations": [format!("{}/authorization/{at}", self.base)],
            "finalize": format!("{}/finalize/{at}", self.base),
        });
        if orders[at].chain.is_some() {
            order["certificate"] = format!("{}/certificate/{at}", self.base).into();
        }
        order
    }

    fn authorization(&self, order: &Order, at: usize) -> Value {
        let status = match order.status {
            "ready" => "valid",
            other => other,
        };
        let challenges = ["http-01", "tls-alpn-01"].map(|kind| self.asks(order, at, kind));
        json!({
            "status": status,
            "identifier": { "type": "dns", "value": order.name },
            "challenges": challenges,
        })
    }

    fn asks(&self, order: &Order, at: usize, kind: &str) -> Value {
        let mut challenge = json!({
            "type": kind,
            "url": format!("{}/challenge/{at}/{kind}", self.base),
            "token": order.token,
            "status": if order.status == "pending" { "pending" } else { "processing" },
        });
        if let (Some(doubt), "invalid") = (&order.doubt, order.status) {
            challenge["status"] = "invalid".into();
            challenge["error"] =
                json!({ "type": "urn:ietf:params:acme:error:connection", "detail": doubt });
        }
        challenge
    }

    /// Looks whether the name leads to who holds the account.
    async fn challenge(&self, at: usize, kind: &str, account: &str) {
        let (name, token, names_at, print) = {
            let state = self.state.lock();
            let order = &state.orders[at];
            let names_at = state.names_at.expect("the test has said where");
            (order.name.clone(), order.token.clone(), names_at, state.accounts[account].1.clone())
        };
        let expected = format!("{token}.{print}");
        let doubt = match kind {
            "tls-alpn-01" => match proof::of_name(names_at, &name).await {
                Ok(digest) if digest == Sha256::digest(&expected).to_vec() => None,
                Ok(_) => Some("another digest".to_owned()),
                Err(fault) => Some(fault),
            },
            _ => match self.text(&token).await {
                Ok(text) if text == expected => None,
                Ok(text) => Some(format!("not {text:?}")),
                Err(error) => Some(error),
            },
        };
        let mut state = self.state.lock();
        state.orders[at].status = if doubt.is_some() { "invalid" } else { "ready" };
        state.orders[at].doubt = doubt;
    }

    /// What is told by plain HTTP: the address is the one that the test chose for it.
    async fn text(&self, token: &str) -> Result<String, String> {
        let plain = self.state.lock().plain_at.ok_or("nowhere")?;
        let url = format!("http://{plain}/.well-known/acme-challenge/{token}");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(url).send().await.map_err(|error| error.to_string())?;
        answer.text().await.map_err(|error| error.to_string())
    }

    fn sign(&self, at: usize, csr: &[u8]) -> Result<(), String> {
        let csr = CertificateSigningRequestDer::from(csr.to_vec());
        let mut csr =
            CertificateSigningRequestParams::from_der(&csr).map_err(|error| error.to_string())?;
        let mut state = self.state.lock();
        if state.orders[at].status != "ready" {
            return Err("nothing is proved".into());
        }
        let (before, after) = if state.nearly_over { (9, 1) } else { (0, 10) };
        csr.params.not_before = OffsetDateTime::now_utc() - Span::days(before) - Span::hours(1);
        csr.params.not_after = OffsetDateTime::now_utc() + Span::days(after);
        let signed = csr.signed_by(&self.issuer).map_err(|error| error.to_string())?;
        state.issued.push(Sha256::digest(signed.der()).into());
        state.orders[at].chain = Some(signed.pem() + &self.pem);
        state.orders[at].status = "valid";
        Ok(())
    }
}
