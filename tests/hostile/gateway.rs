//! The gateway as people run it, and one exchange with it, byte for byte.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) const WEB: &str = "web-key-0123456789";
pub(crate) const OTHER: &str = "other-key-0123456789";
pub(crate) const SECRET: &str = "a secret of thirty-two bytes, and more";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Gateway {
    process: Child,
    pub(crate) http: SocketAddr,
    pub(crate) udp: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        let gateway = Self::of(&format!(
            "channels: {{ on_disconnect: {{ policy: cancel }}, retention: {{ after_end: 1s }} }}\n\
             limits: {{ body: 1MiB, headers: 16KiB, header_timeout: 2s, body_timeout: 2s, sessions_per_address: none }}\n\
             access:\n  keys: [{{ name: web, key: {WEB} }}, {{ name: other, key: {OTHER} }}]\n\
             \x20 token_secret: \"{SECRET}\"\n"
        ));
        gateway.speak(WEB, "chat-1");
        gateway
    }

    /// A gateway with the simulator, and more YAML.
    pub(crate) fn of(more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokenway.yaml");
        let yaml = format!(
            "version: 1\n\
             listen: {{ http: \"127.0.0.1:0\", webtransport: \"127.0.0.1:0\" }}\n\
             providers: {{ sim: {{ dialect: simulator, tokens_per_second: 2000 }} }}\n\
             models: {{ sim: {{ targets: [{{ provider: sim, model: sim-text }}] }} }}\n{more}"
        );
        std::fs::write(&file, yaml).expect("a file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_tokenway"))
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .env("TOKENWAY_STATE_DIR", dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut told = |what: &str| loop {
            let line = lines.next().expect("it says where it listens").expect("text");
            if let Some((_, rest)) = line.split_once(what) {
                let rest = rest.trim().trim_start_matches("http://").trim_start_matches("https://");
                let address = rest.split('/').next().unwrap_or_default();
                let address = address.replace("localhost", "127.0.0.1");
                return address.parse().unwrap_or_else(|_| panic!("no address: {line}"));
            }
        };
        let (http, udp) = (told("console"), told("webtransport"));
        // What it says from now on must be read, or it would wait for it.
        std::thread::spawn(move || lines.for_each(|line| _ = line));
        Self { process, http, udp, _dir: dir }
    }

    /// Runs a generation to its end on a channel.
    fn speak(&self, key: &str, channel: &str) {
        let call = json!({ "model": "sim", "max_tokens": 5, "messages": [{ "role": "user", "content": "Hi" }] });
        let head = format!("authorization: Bearer {key}\r\ntokenway-channel: {channel}\r\n");
        assert_eq!(self.post("/v1/chat/completions", &head, &call).status, 200);
    }

    /// The channel is there: what ended a second ago is forgotten.
    pub(crate) fn renew(&self) {
        let key = format!("authorization: Bearer {WEB}\r\n");
        let note = json!({ "type": "note" });
        if self.post("/v1/channels/chat-1/events", &key, &note).status != 200 {
            self.speak(WEB, "chat-1");
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.http)
    }

    /// Says something, all of it if it is listened to, and reads what comes until the gateway closes.
    pub(crate) fn exchange(&self, said: &[u8]) -> Answer {
        exchange(self.http, said)
    }

    /// A request with a key, and its connection closed afterwards.
    pub(crate) fn get(&self, path: &str, head: &str) -> Answer {
        self.exchange(
            format!(
                "GET {path} HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\n{head}\r\n"
            )
            .as_bytes(),
        )
    }

    pub(crate) fn post(&self, path: &str, head: &str, body: &Value) -> Answer {
        self.post_bytes(path, head, body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, path: &str, head: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{head}\r\n",
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat())
    }

    /// Whether it answers somebody else, and soon.
    pub(crate) fn is_healthy(&self) -> bool {
        let asked = Instant::now();
        let status = self.get("/healthz", "").status;
        status == 200 && asked.elapsed() < Duration::from_secs(5)
    }

    /// Its memory in KiB, once it does not fall any more.
    pub(crate) fn settled_memory(&self) -> u64 {
        let mut lowest = self.memory();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.memory();
            if now < lowest {
                (lowest, since) = (now, Instant::now());
            }
        }
        lowest
    }

    /// How many files it has open, connections among them.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// Ends it, as an operator would.
    pub(crate) fn stop(mut self, patience: Duration) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let asked = Instant::now();
        while self.process.try_wait().expect("its state").is_none() {
            assert!(asked.elapsed() < patience, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn connect(port: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&port, PATIENCE).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The same on any port.
pub(crate) fn exchange(port: SocketAddr, said: &[u8]) -> Answer {
    let mut stream = connect(port);
    // One that is refused early is not read to its end.
    let _ = stream.write_all(said);
    Answer::read(&mut stream)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What came back: 0 for nothing but the end of the connection.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// The gateway has not closed the connection in time.
    pub(crate) hung: bool,
}

impl Answer {
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = stream.take(1 << 20).read_to_end(&mut bytes);
        let hung = read.is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        Self { status: status.unwrap_or_default(), text, hung }
    }

    /// For the table: the status, or how else it ended.
    pub(crate) fn shown(&self) -> String {
        match (self.status, self.hung) {
            (0, true) => "hung".to_owned(),
            (0, false) => "closed".to_owned(),
            (status, _) => status.to_string(),
        }
    }
}
