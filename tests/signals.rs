//! What a gateway does when it is told by signals, as the process that people run.

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    reason = "a process of its own is waited for by the wall clock"
)]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway in a process of its own, killed if the test fails.
struct Process {
    child: Child,
    /// Where its HTTP side listens.
    http: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokenway"))
            .args(["serve", "--config"])
            .arg(dir.join("tokenway.yaml"))
            .arg("--state-dir")
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
        let http = loop {
            let line = lines.next().expect("it says where it listens").expect("text");
            let port = line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:");
            if let Some(port) = port {
                break format!("127.0.0.1:{}", port.trim_end_matches("/v1"));
            }
        };
        // What it says from now on must be read, or it would wait for it.
        std::thread::spawn(move || lines.for_each(|line| _ = line));
        Self { child, http }
    }

    fn tell(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Asks, and gives the connection before anything was answered.
    fn begin(&self, said: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(said.as_bytes()).expect("it reads");
        stream
    }

    fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        rest(self.begin(&head))
    }

    /// Asks this model for an answer of so many tokens.
    fn ask(&self, model: &str, max_tokens: u32) -> TcpStream {
        let call = format!(
            r#"{{"model":"{model}","stream":true,"max_tokens":{max_tokens},"messages":[{{"role":"user","content":"Hi"}}]}}"#
        );
        let length = call.len();
        self.begin(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{call}"
        ))
    }
}

fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // One that is broken off has said what it has.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A config with one model of this name, and an access log.
fn configure(dir: &Path, model: &str) {
    let yaml = format!(
        "version: 1\n\
         listen: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
         providers: {{ sim: {{ dialect: simulator, tokens_per_second: 50 }} }}\n\
         models: {{ {model}: {{ targets: [{{ provider: sim, model: sim-text }}] }} }}\n\
         channels: {{ on_disconnect: {{ policy: cancel }} }}\n\
         telemetry: {{ access_log: {{ to: generations.jsonl }} }}\n"
    );
    fs::write(dir.join("tokenway.yaml"), yaml).expect("a file");
}

fn lines(log: &Path) -> usize {
    fs::read_to_string(log).map_or(0, |text| text.lines().count())
}

#[test]
fn sighup_reads_the_config_and_opens_a_log_anew_that_was_moved_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, log) = (dir.path().join("tokenway.yaml"), dir.path().join("generations.jsonl"));
    configure(dir.path(), "before");
    let process = Process::start(dir.path());
    rest(process.ask("before", 3));
    until("a line is written", || lines(&log) == 1);

    // As it was to the byte and the second: what looks by itself for changes sees none.
    let seen = fs::metadata(&config).expect("it is there");
    configure(dir.path(), "afterw");
    let file = File::options().write(true).open(&config).expect("it opens");
    file.set_modified(seen.modified().expect("a time")).expect("it is set");
    assert_eq!(fs::metadata(&config).expect("it is there").len(), seen.len());
    let moved = dir.path().join("generations.jsonl.1");
    fs::rename(&log, &moved).expect("it is moved");
    assert!(process.get("/v1/models").contains("before"));
    rest(process.ask("before", 3));
    until("a line is written", || lines(&moved) == 2);
    assert!(!log.exists(), "it has not been told");

    process.tell("-HUP");
    until("the config is taken up", || process.get("/v1/models").contains("afterw"));
    assert!(!process.get("/v1/models").contains("before"));
    rest(process.ask("afterw", 3));
    until("a line is written", || lines(&log) == 1);
    assert_eq!(lines(&moved), 2, "what was moved away is as it was");
}

#[test]
fn while_it_stops_a_probe_is_told_so_and_nobody_else_is_let_in() {
    let dir = tempfile::tempdir().expect("a directory");
    configure(dir.path(), "sim");
    let mut process = Process::start(dir.path());
    assert!(process.get("/readyz").starts_with("HTTP/1.1 200"));
    // Something to wait for, and probes that are under way.
    let mut running = process.ask("sim", 5_000);
    running.read_exact(&mut [0; 64]).expect("it streams");
    let probe = "GET /readyz HTTP/1.1\r\nhost: localhost\r\n";
    let probes: Vec<_> = (0..4).map(|_| process.begin(probe)).collect();
    assert!(process.get("/healthz").starts_with("HTTP/1.1 200"));

    process.tell("-TERM");
    until("the door is closed", || TcpStream::connect(&process.http).is_err());
    let told = probes.into_iter().map(|mut probe| {
        let _ = probe.write_all(b"\r\n");
        rest(probe)
    });
    let told: Vec<_> = told.collect();
    let refused =
        |said: &String| said.starts_with("HTTP/1.1 503") && said.ends_with("shutting down\n");
    assert!(told.iter().any(refused), "{told:?}");
    // One of which nothing had been read may be closed.
    assert!(told.iter().all(|said| said.is_empty() || refused(said)), "{told:?}");
    assert!(process.child.try_wait().expect("its state").is_none(), "what runs has its grace");
    drop(running);
    until("it ends", || process.child.try_wait().expect("its state").is_some());
    assert!(process.child.wait().expect("it has ended").success());
}
