//! A gateway with every secret that a config can hold, and tokens that come by every way there is; as lines of JSON.

use std::{io::Write, net::TcpListener, time::Duration};

use serde_json::{Value, json};
use tokenway::{
    native::Target,
    transport::webtransport::dial,
    wire::proto::{self, client_message::Body as Request},
};

use super::{
    ENDS, PROMPT, PROVIDER_KEY, Process, answer, answers, asked, exchange, generation, read_request,
};

const WEB: &str = "canary-of-the-app-key";
const OTHER: &str = "canary-of-another-app";
const ADMIN: &str = "canary-of-the-operator";
const TOKEN_SECRET: &str = "canary-of-the-token-secret-with-bytes";
const OWN_HEADER: &str = "canary-of-the-own-header";
const PROXY: &str = "canary-of-the-proxy";
const COLLECTOR: &str = "canary-of-the-collector";
const WRONG: &str = "canary-of-a-wrong-key";

/// The password as the proxy is told it: `me:…`, in base64.
const PROXY_AS_SENT: &str = "bWU6Y2FuYXJ5LW9mLXRoZS1wcm94eQ==";

/// What the gateway writes for people: when it begins, and when it is told to stop.
const FOR_PEOPLE: [&str; 2] = ["tokenway", "  "];

fn start(dir: &std::path::Path, provider: &TcpListener, collector: &TcpListener) -> Process {
    let [provider, collector] =
        [provider, collector].map(|it| it.local_addr().expect("an address"));
    let yaml = format!(
        r#"version: 1
listen: {{ http: "127.0.0.1:0", webtransport: "127.0.0.1:0" }}
providers:
  up: {{ dialect: openai, base_url: "http://{provider}/v1", api_key: {PROVIDER_KEY}, headers: {{ x-own-key: {OWN_HEADER} }} }}
  far: {{ dialect: anthropic, base_url: "http://far.example", proxy: "http://me:{PROXY}@127.0.0.1:9" }}
models:
  fast: {{ targets: [{{ provider: up }}], failover: {{ retries: 0 }} }}
  far: {{ targets: [{{ provider: far }}], failover: {{ retries: 0 }} }}
access:
  keys: [{{ name: web, key: {WEB} }}, {{ name: other, key: {OTHER} }}]
  token_secret: {TOKEN_SECRET}
  admin_key: {ADMIN}
telemetry: {{ otlp: {{ endpoint: "http://{collector}", headers: {{ x-key: {COLLECTOR} }} }} }}
"#
    );
    Process::start(dir, &yaml, "json")
}

/// A collector that refuses all it is sent, and repeats the header that it came with.
fn refuse_all(collector: TcpListener) {
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            let stream = stream.expect("a connection");
            read_request(&stream);
            answer(&stream, "400 Bad Request", "text/plain", COLLECTOR);
        }
    });
}

/// A token for the channel; and what makes it hold, its signature.
fn token(gateway: &str) -> [String; 2] {
    let head = format!("authorization: Bearer {WEB}\r\n");
    let said = exchange(gateway, "POST /v1/tokens", &head, r#"{"channel":"chat"}"#);
    let (_, body) = said.split_once("\r\n\r\n").expect("a body");
    let answer: Value = serde_json::from_str(body).expect("JSON");
    let token = answer["token"].as_str().expect("a token").to_owned();
    let signature = token.rsplit('.').next().expect("a signature").to_owned();
    [token, signature]
}

/// Shows keys and tokens by each way in, good ones and wrong ones; each is served or refused as it should be.
fn shown(gateway: &str, token: &str) {
    let events = "/v1/channels/chat/events?wait=0s";
    for (path, head, status) in [
        (format!("{events}&token={token}"), String::new(), "200"),
        (events.to_owned(), format!("tokenway-token: {token}\r\n"), "200"),
        (events.to_owned(), format!("authorization: Bearer {token}\r\n"), "200"),
        ("/v1/channels/chat".to_owned(), format!("x-api-key: {WEB}\r\n"), "200"),
        (format!("/v1beta/models?key={WEB}"), String::new(), "200"),
        ("/v1/channels/chat".to_owned(), format!("authorization: Bearer {OTHER}\r\n"), "404"),
        ("/metrics".to_owned(), format!("authorization: Bearer {ADMIN}\r\n"), "200"),
        ("/console/ops/config".to_owned(), format!("authorization: Bearer {ADMIN}\r\n"), "200"),
        (format!("{events}&token={WRONG}"), String::new(), "401"),
        (format!("{events}&token={token}{WRONG}"), String::new(), "401"),
        ("/v1/models".to_owned(), format!("authorization: Bearer {WRONG}\r\n"), "401"),
        ("/v1/models".to_owned(), format!("x-api-key: {WRONG}\r\n"), "401"),
        ("/v1/channels/other".to_owned(), format!("tokenway-token: {token}\r\n"), "403"),
    ] {
        let said = exchange(gateway, &format!("GET {path}"), &head, "");
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {said}");
    }
}

/// Brings the token to sessions: by WebSocket in its URL, by WebTransport in its URL and in hello.
fn sessions(gateway: &str, token: &str) {
    for (token, status) in [(token, "101"), (WRONG, "101")] {
        let mut stream = std::net::TcpStream::connect(gateway).expect("it listens");
        let said = format!(
            "GET /v1/connect?token={token} HTTP/1.1\r\nhost: {gateway}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: tokenway.v1\r\n\r\n"
        );
        stream.write_all(said.as_bytes()).expect("it reads");
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).expect("a head");
        assert_eq!(head[9..], *status.as_bytes());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let dialled = async {
        let target = Target::discover(&format!("http://{gateway}"), None).await.expect("found");
        for (query, tokens) in [
            (format!("?token={token}"), vec![]),
            (String::new(), vec![token.to_owned()]),
            (format!("?token={WRONG}"), vec![WRONG.to_owned()]),
        ] {
            let url = format!("{}{query}", target.url);
            let mut dialled = dial(&url, &target.trust).await.expect("it is let in");
            let hello = proto::Hello { protocol: 1, tokens, ..proto::Hello::default() };
            dialled.send(&proto::ClientMessage { request: 1, body: Some(Request::Hello(hello)) });
            dialled.next().await.expect("an answer, of whatever kind");
        }
    };
    let bounded = async { tokio::time::timeout(Duration::from_secs(20), dialled).await };
    runtime.expect("a runtime").block_on(bounded).expect("in time");
}

/// The lines of the log that are JSON, which are all but those for people.
fn lines(written: &str) -> Vec<Value> {
    let structured = |line: &&str| !FOR_PEOPLE.iter().any(|start| line.starts_with(start));
    let parsed = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}, no JSON: {line}"))
    };
    written.lines().filter(structured).map(parsed).collect()
}

#[test]
fn at_debug_the_log_with_access_keys_has_no_secret_and_is_lines_of_json() {
    let [provider, collector] =
        [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port on loopback"));
    let dir = tempfile::tempdir().expect("a directory");
    let process = start(dir.path(), &provider, &collector);
    refuse_all(collector);
    let mut generations = Vec::new();
    for said in answers(&format!("{PROVIDER_KEY} or {OWN_HEADER}")) {
        generations.push(generation(&asked(&process, &provider, WEB, &said)));
    }
    let far = format!(
        r#"{{"model":"far","max_tokens":9,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    let head = format!("x-api-key: {WEB}\r\n");
    let said = exchange(&process.http, "POST /v1/messages", &head, &far);
    assert!(said.starts_with("HTTP/1.1 502"), "the proxy is not there: {said}");
    generations.push(generation(&said));
    let [token, signature] = token(&process.http);
    shown(&process.http, &token);
    sessions(&process.http, &token);

    let written = process.stop();
    for secret in [
        PROMPT,
        PROVIDER_KEY,
        WEB,
        OTHER,
        ADMIN,
        TOKEN_SECRET,
        OWN_HEADER,
        PROXY,
        PROXY_AS_SENT,
        COLLECTOR,
        WRONG,
        &token,
        &signature,
    ] {
        assert!(!written.contains(secret), "{secret} is in the log:\n{written}");
    }
    let lines = lines(&written);
    for (generation, end) in generations.iter().zip(ENDS.iter().chain(&["failed"])) {
        let told = |line: &&Value| {
            line["span"]["name"] == "generation" && line["span"]["id"] == **generation
        };
        let of_it: Vec<_> = lines.iter().filter(told).collect();
        let ends = of_it.iter().any(|line| line["fields"]["message"].to_string().contains(end));
        assert!(ends, "{generation} {end}: {of_it:#?}");
    }
    assert!(
        lines.iter().all(|line| line["level"] != json!(null) && line["timestamp"] != json!(null))
    );
}
