//! How providers are called: their keys in turn, headers rewritten, through proxies, with a company's own certificates.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use serde_json::json;
use tokenway::{
    config::{self, Config, Environment},
    provider::{Endpoint, Http, HttpSettings, Provider, Request},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    gateway::{Tokenway, asked, body, send, sent},
    soon,
    upstream::Upstream,
};

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

/// A gateway whose provider `up` has this base URL and these further keys, in YAML. The file is in `directory`.
async fn gateway(base_url: &str, further: &str, directory: &std::path::Path) -> Tokenway {
    let text = format!(
        "version: 1\nproviders: {{ up: {{ dialect: openai, base_url: \"{base_url}\", {further} }} }}\n\
         models: {{ fast: {{ targets: [{{ provider: up }}] }} }}\n"
    );
    let file = directory.join("gateway.yaml");
    std::fs::write(&file, text).expect("a file");
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    Tokenway::start(nowhere, "", |config| {
        let Config { providers, models, .. } =
            Config::load(&file, &Environment::default()).unwrap_or_else(|error| panic!("{error}"));
        (config.providers, config.models) = (providers, models);
        // What a provider does is told as it is.
        config.models.iter_mut().for_each(|model| model.failover.retries = 0);
    })
    .await
}

fn request() -> Request {
    Request {
        method: reqwest::Method::POST,
        path: "/chat/completions".to_owned(),
        headers: Default::default(),
        body: "{}".into(),
        connect_timeout: Duration::from_secs(5),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_provider_limits_rests_while_another_is_used() {
    // As the gateway does; another test may have done it already.
    let _ = ring::default_provider().install_default();
    let upstream = Upstream::bind().await;
    let keys = ["sk-first", "sk-second"].map(|key| {
        let value = format!("Bearer {key}").parse().expect("a header");
        (reqwest::header::AUTHORIZATION, value)
    });
    let settings = HttpSettings { keys: keys.into(), ..HttpSettings::default() };
    let http = Http::new(&format!("http://{}/v1/", upstream.addr()), settings);
    let endpoint = Endpoint::Http(Box::new(http));
    let provider = Arc::new(Provider::new("up", "openai", endpoint, Vec::new()));
    let call = async |status: &str, key: &str| {
        let answer = tokio::spawn({
            let provider = Arc::clone(&provider);
            async move { provider.call(request()).await.expect("an answer") }
        });
        let called = upstream.call().await;
        assert_eq!(called.header("authorization"), Some(format!("Bearer {key}").as_str()));
        assert_eq!(called.line(), "POST /v1/chat/completions HTTP/1.1");
        called.answer(status, "", "{}").await;
        answer.await.expect("no panic").key.expect("it was called with a key")
    };
    let first = call("200 OK", "sk-first").await;
    assert_eq!(call("429 Too Many Requests", "sk-first").await, first);
    let second = call("429 Too Many Requests", "sk-second").await;
    assert_ne!(first, second);
    let (now, minute) = (Instant::now(), Duration::from_secs(60));
    assert!(!provider.has_rested_key(now) && provider.has_rested_key(now + minute));
    provider.rest_key(first, now + minute);
    assert_eq!(call("200 OK", "sk-second").await, second, "the first that will be well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_taken_out_and_put_in_as_the_config_says() {
    let (upstream, directory) = (Upstream::bind().await, tempfile::tempdir().expect("a directory"));
    let further = "api_keys: [sk-1, sk-2], headers: { x-set: ours }, \
                   remove_headers: [x-gone, authorization]";
    let base_url = format!("http://{}/v1", upstream.addr());
    let gateway = gateway(&base_url, further, directory.path()).await;
    let headers = [("x-gone", "a"), ("x-set", "app"), ("x-kept", "b"), ("authorization", "app")];
    let mut call = gateway.chat(asked(false));
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let call = sent(call);
    let called = upstream.call().await;
    for (name, value) in [
        ("x-gone", None),
        ("x-set", Some("ours")),
        ("x-kept", Some("b")),
        ("authorization", Some("Bearer sk-1")),
    ] {
        assert_eq!(called.header(name), value, "{name}");
    }
    called.answer("200 OK", "content-type: application/json\r\n", ANSWER).await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}

/// As Azure has it: a version in the query of each call, and the key in a header of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_urls_query_goes_with_every_call_and_the_key_in_the_header_that_is_named() {
    let (upstream, directory) = (Upstream::bind().await, tempfile::tempdir().expect("a directory"));
    let base_url =
        format!("http://{}/openai/deployments/mine/?api-version=2024-10-21&x=1", upstream.addr());
    let further = "api_keys: [azure-1, azure-2], key_header: api-key";
    let gateway = gateway(&base_url, further, directory.path()).await;
    let call = sent(gateway.chat(asked(false)).header("api-key", "the-apps"));
    let called = upstream.call().await;
    let line = "POST /openai/deployments/mine/chat/completions?api-version=2024-10-21&x=1 HTTP/1.1";
    assert_eq!(called.line(), line);
    assert_eq!((called.header("api-key"), called.header("authorization")), (Some("azure-1"), None));
    called.answer("429 Too Many Requests", "content-type: application/json\r\n", "{}").await;
    let called = upstream.call().await;
    assert_eq!(called.header("api-key"), Some("azure-2"), "the next key, in the same header");
    called.answer("200 OK", "content-type: application/json\r\n", ANSWER).await;
    assert_eq!(call.await.expect("a response").status(), 200);

    let call = sent(gateway.get("/v1/files?limit=2&x=9&api-version=none"));
    let called = upstream.call().await;
    let line = "GET /openai/deployments/mine/files?limit=2&api-version=2024-10-21&x=1 HTTP/1.1";
    assert_eq!(called.line(), line, "the operator's parameters hold");
    called.answer("200 OK", "content-type: application/json\r\n", "{}").await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_in_the_clear_is_asked_of_its_proxy_by_its_whole_address() {
    let (proxy, directory) = (Upstream::bind().await, tempfile::tempdir().expect("a directory"));
    let further = format!("api_key: sk-1, proxy: \"http://me:sk-proxy@{}\"", proxy.addr());
    // No such name: whoever looks it up fails.
    let gateway = gateway("http://provider.invalid/v1", &further, directory.path()).await;
    let call = sent(gateway.chat(asked(false)));
    let called = proxy.call().await;
    assert_eq!(called.line(), "POST http://provider.invalid/v1/chat/completions HTTP/1.1");
    // `me:sk-proxy`
    assert_eq!(called.header("proxy-authorization"), Some("Basic bWU6c2stcHJveHk="));
    assert_eq!(called.header("authorization"), Some("Bearer sk-1"));
    called.answer("200 OK", "content-type: application/json\r\n", ANSWER).await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hi");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_or_is_not_there_is_told_without_its_password() {
    let (proxy, directory) = (Upstream::bind().await, tempfile::tempdir().expect("a directory"));
    let further = format!("proxy: \"http://me:sk-proxy@{}\"", proxy.addr());
    let gateway = gateway("https://provider.invalid/v1", &further, directory.path()).await;
    let call = sent(gateway.chat(asked(false)));
    let called = proxy.head().await;
    assert_eq!(called.line(), "CONNECT provider.invalid:443 HTTP/1.1");
    called.answer("407 Proxy Authentication Required", "", "me:sk-proxy is not known").await;
    let refused = call.await.expect("a response");
    assert_eq!(refused.status(), 502);
    let refused = body(refused).await.to_string();
    assert!(refused.contains("cannot connect") && !refused.contains("sk-proxy"), "{refused}");
    drop(proxy);
    let absent = send(gateway.chat(asked(false))).await;
    assert_eq!(absent.status(), 502);
    let absent = body(absent).await.to_string();
    assert!(absent.contains("refused") && !absent.contains("sk-proxy"), "{absent}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_looks_the_providers_name_up() {
    let (upstream, directory) = (Upstream::bind().await, tempfile::tempdir().expect("a directory"));
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let further = format!("proxy: \"socks5h://{}\"", proxy.local_addr().expect("bound"));
    let gateway = gateway("http://provider.invalid/v1", &further, directory.path()).await;
    let provider = upstream.addr();
    let asked_for = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.expect("the gateway calls");
        // RFC 1928: the methods, then the request; a name has type 3 and a length.
        let mut greeting = [0; 2];
        client.read_exact(&mut greeting).await.expect("a greeting");
        let mut methods = vec![0; greeting[1].into()];
        client.read_exact(&mut methods).await.expect("methods");
        client.write_all(&[5, 0]).await.expect("no authentication");
        let mut head = [0; 5];
        client.read_exact(&mut head).await.expect("a request");
        assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name");
        let mut rest = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut rest).await.expect("a name and a port");
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.expect("granted");
        let mut provider = TcpStream::connect(provider).await.expect("the provider");
        let _ = copy_bidirectional(&mut client, &mut provider).await;
        rest
    });
    let call = sent(gateway.chat(asked(false)));
    let called = upstream.call().await;
    assert_eq!(called.header("host"), Some("provider.invalid"));
    called.answer("200 OK", "content-type: application/json\r\n", ANSWER).await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
    let asked_for = soon("the proxy is done", asked_for).await.expect("no panic");
    assert_eq!(asked_for, b"provider.invalid\0\x50");
}

/// A certificate authority, and a certificate for `provider.invalid` by it.
fn certificates() -> (String, ServerConfig) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = ca.self_signed(&ca_key).expect("a certificate");
    let base64 = base64::engine::general_purpose::STANDARD.encode(der.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["provider.invalid".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .expect("a certificate and its key");
    (pem, server)
}

/// A proxy that opens tunnels, to wherever they are asked for, to one provider behind TLS. Resolves to the heads of the
/// requests for a tunnel, once `count` of them were served.
async fn tunnels(tls: ServerConfig, count: usize) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = proxy.local_addr().expect("bound");
    let tls = TlsAcceptor::from(Arc::new(tls));
    let heads = tokio::spawn(async move {
        let mut heads = Vec::new();
        while heads.len() < count {
            let (mut client, _) = proxy.accept().await.expect("the gateway calls");
            heads.push(head(&mut client).await);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("a tunnel");
            // A client that does not trust it goes here.
            let Ok(mut provider) = tls.accept(client).await else { continue };
            head(&mut provider).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{ANSWER}",
                ANSWER.len()
            );
            provider.write_all(answer.as_bytes()).await.expect("an answer");
            let _ = provider.shutdown().await;
        }
        heads
    });
    (addr, heads)
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = soon("a head comes", stream.read_buf(&mut head)).await.expect("a head");
        assert!(read > 0, "closed within a head");
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_certificate_is_trusted_where_it_is_given_and_through_a_tunnel() {
    let directory = tempfile::tempdir().expect("a directory");
    let (pem, tls) = certificates();
    std::fs::write(directory.path().join("company.pem"), pem).expect("a file");
    let (proxy, heads) = tunnels(tls, 2).await;
    let without = format!("api_key: sk-1, proxy: \"http://{proxy}\"");
    let stranger = gateway("https://provider.invalid/v1", &without, directory.path()).await;
    let refused = send(stranger.chat(asked(false))).await;
    assert_eq!(refused.status(), 502);
    let refusal = body(refused).await;
    let message = refusal["error"]["message"].as_str().expect("a message");
    assert!(message.contains("certificate"), "{message}");
    stranger.stop().await;

    // Its path is relative to the file that names it.
    let with = format!("{without}, ca: company.pem");
    let friend = gateway("https://provider.invalid/v1", &with, directory.path()).await;
    let answer = body(send(friend.chat(asked(false))).await).await;
    assert_eq!(answer["choices"][0]["message"]["content"], json!("Hi"));
    friend.stop().await;
    for head in soon("both came", heads).await.expect("no panic") {
        assert!(head.starts_with("CONNECT provider.invalid:443 HTTP/1.1\r\n"), "{head}");
        assert!(!head.contains("sk-1"), "the key stays in the tunnel");
    }
}

#[test]
fn a_certificate_authority_is_read_with_the_config() {
    let directory = tempfile::tempdir().expect("a directory");
    let (pem, _) = certificates();
    let file = directory.path().join("gateway.yaml");
    let text = "version: 1\nproviders: { up: { dialect: openai, ca: ca.pem } }\nmodels: { m: { targets: [{ provider: up }] } }\n";
    std::fs::write(&file, text).expect("a file");
    let load = || Config::load(&file, &Environment::default());
    let write = |pem: &str| {
        std::fs::write(directory.path().join("ca.pem"), pem).expect("a file");
        load().expect_err("not a certificate").to_string()
    };
    assert!(
        write("").ends_with(":2:41: `ca.pem` holds no certificate (`-----BEGIN CERTIFICATE-----`)")
    );
    let cut = pem.replace("-----END CERTIFICATE-----", "");
    assert!(write(&cut).contains("`ca.pem` is not PEM"));
    let wrong = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    assert!(write(wrong).contains("`ca.pem` holds a certificate that cannot be used"));
    std::fs::write(directory.path().join("ca.pem"), format!("{pem}{pem}")).expect("a file");
    let config = load().expect("a config");
    let config::Endpoint::Http(http) = &config.providers[0].endpoint else { panic!("openai") };
    assert_eq!(http.ca.len(), 2);
}
