//! What a gateway logs, as the process that people run: everything at `debug`, and neither keys nor prompts.

#[path = "logs/keyed.rs"]
mod keyed;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};

const PROMPT: &str = "canary-of-the-prompt";
const PROVIDER_KEY: &str = "sk-canary-of-the-provider";
const CALLER_KEY: &str = "sk-canary-of-the-caller";

/// A gateway in a process of its own, killed if the test fails.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What has been read of the log.
    written: String,
    /// Where its HTTP side listens.
    http: String,
}

impl Process {
    /// Runs one that logs at `debug` in this format, and waits until it listens.
    fn start(dir: &Path, yaml: &str, format: &str) -> Self {
        let config = dir.join("tokenway.yaml");
        std::fs::write(&config, yaml).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_tokenway"))
            .args(["--log", "debug", "serve", "--config"])
            .arg(&config)
            .arg("--state-dir")
            .arg(dir)
            .env("TOKENWAY_LOG_FORMAT", format)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("it was piped"));
        let mut process = Self { child, log, written: String::new(), http: String::new() };
        while process.http.is_empty() {
            let mut line = String::new();
            let length = process.log.read_line(&mut line).expect("text");
            process.written += &line;
            assert!(length > 0, "it ended: {}", process.written);
            let port = line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:");
            if let Some(port) = port {
                process.http = format!("127.0.0.1:{}", port.trim_end_matches("/v1"));
            }
        }
        process
    }

    /// Ends it, as an operator would, and gives all that it has logged.
    fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("it runs");
        assert!(told.success());
        self.log.read_to_string(&mut self.written).expect("text");
        assert!(self.child.wait().expect("it ends").success(), "{}", self.written);
        std::mem::take(&mut self.written)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// A request, and the answer as it came. `head` are lines of the head.
fn exchange(gateway: &str, line: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: {gateway}\r\n{head}content-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .expect("the gateway reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    said
}

/// Asks for a stream with this key, while the provider is played: its answer, and what the app was told.
fn asked(process: &Process, provider: &TcpListener, key: &str, said: &Said) -> String {
    let (status, content_type, body) = said;
    let call = format!(
        r#"{{"model":"fast","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    let head = format!("authorization: Bearer {key}\r\ntokenway-channel: chat\r\n");
    std::thread::scope(|scope| {
        let line = "POST /v1/chat/completions";
        let call = scope.spawn(|| exchange(&process.http, line, &head, &call));
        let (stream, _) = provider.accept().expect("the gateway calls");
        read_request(&stream);
        answer(&stream, status, content_type, body);
        call.join().expect("the app does not panic")
    })
}

/// What a provider answers: status, type, body.
type Said = (&'static str, &'static str, String);

/// A provider that repeats what it was told, in all ways; at last it answers well.
fn answers(repeated: &str) -> [Said; 4] {
    let quoting = format!(r#"{{"error":{{"message":"bad prompt {PROMPT}, key {repeated}"}}}}"#);
    let good = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    [
        ("400 Bad Request", "application/json", quoting.clone()),
        ("200 OK", "text/event-stream", format!("data: {quoting}\n\n")),
        ("200 OK", "text/event-stream", format!("data: {{\"choices\":\"{PROMPT}\"}}\n\n")),
        ("200 OK", "text/event-stream", format!("data: {good}\n\ndata: [DONE]\n\n")),
    ]
}

/// How the generations of [`answers`] end.
const ENDS: [&str; 4] = ["failed", "failed", "failed", "finished"];

/// The generation's id, as an answer's head has it.
fn generation(said: &str) -> String {
    let id = said.lines().find_map(|line| line.strip_prefix("tokenway-generation: "));
    id.expect("every answer says where it is").to_owned()
}

#[test]
fn at_debug_the_log_has_the_generations_id_and_neither_prompt_nor_key() {
    let provider = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let dir = tempfile::tempdir().expect("a directory");
    let yaml = format!(
        "version: 1\n\
         listen: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers: {{ up: {{ dialect: openai, base_url: \"http://{}/v1\", api_key: {PROVIDER_KEY} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: up }} ], failover: {{ retries: 0 }} }} }}\n",
        provider.local_addr().expect("an address")
    );
    let process = Process::start(dir.path(), &yaml, "text");
    let mut generations = Vec::new();
    for said in answers(PROVIDER_KEY) {
        let said = asked(&process, &provider, CALLER_KEY, &said);
        assert!(!said.contains(PROVIDER_KEY), "{said}");
        generations.push(generation(&said));
    }
    let written = process.stop();
    for secret in [PROMPT, PROVIDER_KEY, CALLER_KEY] {
        assert!(!written.contains(secret), "{secret} is in the log:\n{written}");
    }
    for (generation, end) in generations.iter().zip(ENDS) {
        let told = |line: &str| line.contains(generation) && line.contains(end);
        assert!(written.lines().any(told), "{generation} {end}:\n{written}");
    }
}
