//! What a gateway logs, as the process that people run: everything at `debug`, and neither keys nor prompts.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

const PROMPT: &str = "canary-of-the-prompt";
const PROVIDER_KEY: &str = "sk-canary-of-the-provider";
const CALLER_KEY: &str = "sk-canary-of-the-caller";

/// A gateway in a process of its own, killed if the test fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a request of HTTP with a `content-length`, whole.
fn read_request(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).expect("a body");
}

fn answer(mut stream: &TcpStream, status: &str, content_type: &str, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .expect("the gateway reads");
}

/// Asks for a stream, and returns the answer as it came.
fn ask(gateway: &str) -> String {
    let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
    let body = format!(
        r#"{{"model":"fast","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    let length = body.len();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {gateway}\r\nauthorization: Bearer {CALLER_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .expect("the gateway reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    said
}

#[test]
fn at_debug_the_log_has_the_generations_id_and_neither_prompt_nor_key() {
    let provider = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("tokenway.yaml");
    let yaml = format!(
        "version: 1\n\
         listen: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers: {{ up: {{ dialect: openai, base_url: \"http://{}/v1\", api_key: {PROVIDER_KEY} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: up }} ], failover: {{ retries: 0 }} }} }}\n",
        provider.local_addr().expect("an address")
    );
    std::fs::write(&config, yaml).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_tokenway"))
        .args(["--log", "debug", "serve", "--config"])
        .arg(&config)
        .arg("--state-dir")
        .arg(dir.path())
        .stderr(Stdio::piped())
        .spawn();
    let mut process = Process(child.expect("it starts"));
    let mut log = BufReader::new(process.0.stderr.take().expect("it was piped"));
    let mut written = String::new();
    let gateway = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("text") > 0, "it ended: {written}");
        written += &line;
        if let Some(url) =
            line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:")
        {
            break format!("127.0.0.1:{}", url.trim_end_matches("/v1"));
        }
    };

    let quoting = format!(r#"{{"error":{{"message":"bad prompt {PROMPT}, key {PROVIDER_KEY}"}}}}"#);
    let good = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let answers = [
        ("400 Bad Request", "application/json", quoting.clone()),
        ("200 OK", "text/event-stream", format!("data: {quoting}\n\n")),
        ("200 OK", "text/event-stream", format!("data: {{\"choices\":\"{PROMPT}\"}}\n\n")),
        ("200 OK", "text/event-stream", format!("data: {good}\n\ndata: [DONE]\n\n")),
    ];
    let mut generations = Vec::new();
    for (status, content_type, body) in answers {
        let said = std::thread::scope(|scope| {
            let call = scope.spawn(|| ask(&gateway));
            let (stream, _) = provider.accept().expect("the gateway calls");
            read_request(&stream);
            answer(&stream, status, content_type, &body);
            call.join().expect("the app does not panic")
        });
        assert!(!said.contains(PROVIDER_KEY), "{said}");
        let id = said.lines().find_map(|line| line.strip_prefix("tokenway-generation: "));
        generations.push(id.expect("every answer says where it is").to_owned());
    }

    let pid = process.0.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().expect("it runs");
    assert!(told.success());
    log.read_to_string(&mut written).expect("text");
    assert!(process.0.wait().expect("it ends").success(), "{written}");
    for secret in [PROMPT, PROVIDER_KEY, CALLER_KEY] {
        assert!(!written.contains(secret), "{secret} is in the log:\n{written}");
    }
    for (generation, end) in generations.iter().zip(["failed", "failed", "failed", "finished"]) {
        let told = |line: &str| line.contains(generation) && line.contains(end);
        assert!(written.lines().any(told), "{generation} {end}:\n{written}");
    }
}
