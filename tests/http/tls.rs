//! The operator's own certificate: on HTTP/1.1, HTTP/2 and WebTransport, and replaced while they are used.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Version;
use tokenway::{
    native::{Client, Target},
    sequence::From,
    transport::webtransport::{Hash, Trust, load_certificate},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use wtransport::tls::self_signed::time::{Duration as Span, OffsetDateTime};

use crate::{
    gateway::{Tokenway, asked, body, send},
    soon,
};

/// An authority that makes certificates for a gateway in a directory.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes a new certificate and its key, and gives the certificate's hash.
    async fn issue(&self, directory: &Path) -> Hash {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        // What a client that goes by the hash takes: no longer than two weeks.
        params.not_before = OffsetDateTime::now_utc() - Span::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Span::days(10);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (chain, private) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&chain, certificate.pem()).expect("written");
        fs::write(&private, key.serialize_pem()).expect("written");
        load_certificate(&chain, &private).await.expect("it is one").hash()
    }

    /// A client that trusts it.
    fn client(&self, http1: bool) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder().no_proxy().add_root_certificate(root);
        let client = if http1 { client.http1_only() } else { client };
        client.build().expect("a client")
    }
}

async fn begun(authority: &Authority) -> (Tokenway, Arc<Notify>, Hash, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let hash = authority.issue(directory.path()).await;
    let file = directory.path().join("tokenway.yaml");
    let text = "version: 1\nlisten: { http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }\n\
                tls: { cert: cert.pem, key: key.pem }\n\
                providers: { sim: { dialect: simulator, tokens_per_second: 500 } }\n\
                models: { fast: { targets: [{ provider: sim, model: sim-text }] } }\n";
    fs::write(&file, text).expect("written");
    let (mut gateway, reload) = Tokenway::following(&file).await;
    gateway.http = authority.client(true);
    gateway.scheme = "https";
    (gateway, reload, hash, directory)
}

/// Reads the certificate again, and waits until it is done.
async fn reloaded(gateway: &Tokenway, reload: &Notify, outcome: &str, times: u32) {
    reload.notify_one();
    let series = format!("tokenway_certificate_reloads_total{{outcome=\"{outcome}\"}} {times}\n");
    soon("the certificate is read again", async {
        loop {
            let text = send(gateway.get("/metrics")).await.text().await.expect("text");
            if text.contains(&series) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn dial(gateway: &Tokenway, hash: Hash) -> Result<Client, String> {
    let info = body(send(gateway.get("/v1/connect/info")).await).await;
    assert_eq!(info["webtransport"]["certificate_hashes"], serde_json::json!([]), "an authority's");
    assert!(info["websocket"].as_str().is_some_and(|url| url.starts_with("wss://")), "{info}");
    let url = info["webtransport"]["url"].as_str().expect("a URL").to_owned();
    let target = Target { url, trust: Trust::Hashes(vec![hash]), token: None };
    Client::connect(target).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_and_2_and_webtransport_show_the_operators_certificate() {
    let authority = Authority::new();
    let (gateway, _, hash, _directory) = begun(&authority).await;
    for (http1, version) in [(true, Version::HTTP_11), (false, Version::HTTP_2)] {
        let client = authority.client(http1);
        let call = client.post(gateway.url("/v1/chat/completions")).json(&asked(true));
        let response = send(call).await;
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        assert!(response.text().await.expect("a body").contains("data: [DONE]"));
    }
    dial(&gateway, hash).await.expect("WebTransport has it, too");
    assert!(dial(&gateway, [0; 32]).await.is_err(), "and no other");
    // Whoever speaks no TLS, or nothing at all, is no trouble to anybody.
    let mut plain = TcpStream::connect(gateway.addr).await.expect("it listens");
    let _silent = TcpStream::connect(gateway.addr).await.expect("it listens");
    AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = soon("it is closed", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered in the clear");
    assert_eq!(send(gateway.get("/healthz")).await.status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_replaced_under_load_drops_nobody() {
    let authority = Authority::new();
    let (gateway, reload, first, directory) = begun(&authority).await;
    let named = gateway.chat(asked(true)).header("tokenway-channel", "chat");
    assert!(send(named).await.text().await.expect("a body").contains("[DONE]"));
    let mut session = dial(&gateway, first).await.expect("a session");
    session.subscribe("chat", From::Beginning, false);
    soon("it is told", session.next()).await.expect("an item");

    let gateway = Arc::new(gateway);
    let stop = tokio_util::sync::CancellationToken::new();
    let callers = (0..4).map(|caller| {
        let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
        // Kept connections, and a new one for each call.
        let client = authority.client(caller % 2 == 0);
        let root = authority.pem.clone();
        tokio::spawn(async move {
            let mut served = 0;
            while !stop.is_cancelled() {
                let client = match caller < 2 {
                    true => client.clone(),
                    false => {
                        let root = reqwest::Certificate::from_pem(root.as_bytes()).expect("PEM");
                        let fresh =
                            reqwest::Client::builder().no_proxy().add_root_certificate(root);
                        fresh.build().expect("a client")
                    }
                };
                let call = client.post(gateway.url("/v1/chat/completions")).json(&asked(true));
                let response = call.send().await.expect("no connection is dropped");
                let said = response.text().await.expect("no stream is cut");
                assert!(said.contains("[DONE]"), "{said}");
                served += 1;
            }
            served
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut newest = first;
    for round in 1..=3 {
        newest = authority.issue(directory.path()).await;
        reloaded(&gateway, &reload, "taken", round).await;
    }
    // One that is broken changes nothing.
    fs::write(directory.path().join("key.pem"), "no key").expect("written");
    reloaded(&gateway, &reload, "refused", 1).await;
    stop.cancel();
    for caller in callers {
        assert!(caller.await.expect("nobody is let down") > 0);
    }
    assert!(dial(&gateway, first).await.is_err(), "the first is not shown any more");
    dial(&gateway, newest).await.expect("the newest is");
    // The session has been there all the time.
    let more = gateway.chat(asked(true)).header("tokenway-channel", "chat");
    assert!(send(more).await.text().await.expect("a body").contains("[DONE]"));
    soon("it is told", session.next()).await.expect("an item");
    assert_eq!(session.reconnects(), 0);
    drop(session);
    Arc::into_inner(gateway).expect("all callers are gone").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_whose_files_are_swapped_is_taken_up_without_a_word() {
    let authority = Authority::new();
    let (gateway, _nobody_tells, first, directory) = begun(&authority).await;
    dial(&gateway, first).await.expect("the first is shown");
    let newest = authority.issue(directory.path()).await;
    soon("the newest is shown", async {
        while dial(&gateway, newest).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(dial(&gateway, first).await.is_err(), "the first is not shown any more");
    let connected = authority.client(false).get(gateway.url("/healthz"));
    assert_eq!(send(connected).await.status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_shake_hands_is_closed_and_keeps_nobody_out() {
    let authority = Authority::new();
    let (gateway, _reload, _hash, _directory) = begun(&authority).await;
    let mut junk = vec![0xAA; 4_096];
    rand::fill(&mut junk[..]);
    // The beginning of a greeting that never comes to its end; the length of a record that is larger than any.
    let cut = [0x16, 3, 1, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 3, 3];
    let huge = [0x16, 3, 1, 0xff, 0xff];
    for said in [
        &junk[..],
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        &huge,
    ] {
        let mut stream = TcpStream::connect(gateway.addr).await.expect("it accepts");
        let _ = stream.write_all(said).await;
        let mut answer = Vec::new();
        let read = soon("it is closed", stream.read_to_end(&mut answer)).await;
        assert!(read.is_err() || !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let mut waiting = Vec::new();
    for at in 0..500 {
        let mut stream = TcpStream::connect(gateway.addr).await.expect("it accepts");
        if at % 2 == 0 {
            stream.write_all(&cut).await.expect("it reads");
        }
        waiting.push(stream);
    }
    let client = authority.client(false);
    let call = client.post(gateway.url("/v1/chat/completions")).json(&asked(true));
    let said = soon("somebody else is served", send(call)).await.text().await.expect("a body");
    assert!(said.contains("[DONE]"), "{said}");
    for mut stream in waiting {
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        let closed = tokio::time::timeout(Duration::from_secs(15), closed).await;
        assert!(closed.is_ok(), "it is not waited for without end");
    }
    gateway.stop().await;
}
