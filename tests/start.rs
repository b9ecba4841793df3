//! What a gateway says when it starts and stops, as the process that people run: to systemd, and to whoever reads its log.

#![cfg(target_os = "linux")]

use std::{
    fs::File,
    io::Read,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A gateway in a process of its own, killed if the test fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A demo whose service manager is here, and wants to hear of it within so long.
fn demo(dir: &Path, within: Duration) -> (Process, UnixDatagram) {
    let manager = UnixDatagram::bind(dir.join("notify")).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let log = File::create(dir.join("log")).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_tokenway"))
        .args(["demo", "--http", "127.0.0.1:0", "--webtransport", "127.0.0.1:0", "--state-dir"])
        .arg(dir)
        .env("NOTIFY_SOCKET", dir.join("notify"))
        .env("WATCHDOG_USEC", within.as_micros().to_string())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    (Process(child.expect("it starts")), manager)
}

fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = manager.recv(&mut bytes).expect("the gateway tells");
    String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
}

#[test]
fn systemd_is_told_that_it_serves_that_it_lives_and_that_it_stops() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut process, manager) = demo(dir.path(), Duration::from_millis(200));
    assert_eq!(told(&manager), "READY=1", "nothing before it serves");
    for _ in 0..3 {
        assert_eq!(told(&manager), "WATCHDOG=1");
    }
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("it runs").success());
    while told(&manager) != "STOPPING=1" {}
    assert!(process.0.wait().expect("it ends").success());
}

#[test]
fn a_small_udp_buffer_is_noted_with_what_to_do() {
    let allowed =
        std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("what may be asked");
    let allowed: usize = allowed.trim().parse().expect("a number");
    let dir = tempfile::tempdir().expect("a directory");
    let (process, manager) = demo(dir.path(), Duration::from_secs(60));
    assert_eq!(told(&manager), "READY=1");
    drop(process);
    let mut said = String::new();
    File::open(dir.path().join("log")).expect("a log").read_to_string(&mut said).expect("text");
    assert!(said.contains("webtransport"), "{said}");
    let advised = said.contains("sysctl -w net.core.rmem_max=7500000");
    assert_eq!(advised, allowed < 2 * 1024 * 1024, "{allowed} may be asked for:\n{said}");
}
