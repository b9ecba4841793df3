//! A running gateway, for chores that need one: started on ports of its own, ready when it says so, ended on drop.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process;

/// A gateway that is not ready by then will not be.
const READY: Duration = Duration::from_secs(20);
/// How long an ended gateway may take to go before it is killed.
const GOODBYE: Duration = Duration::from_secs(5);

/// The running process; dropping it ends it.
pub(crate) struct Gateway {
    child: Child,
    /// Where it answers HTTP.
    pub(crate) http: SocketAddr,
}

impl Gateway {
    /// Starts `tokenway` with these arguments and waits for `/readyz`.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let http = free_tcp()?;
        let child = Command::new(program)
            .args(arguments)
            .args(["--http", &http.to_string(), "--webtransport", &free_udp()?.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|why| format!("{}: {why}", program.display()))?;
        let mut gateway = Self { child, http };
        let until = Instant::now() + READY;
        while !ready(http) {
            if let Ok(Some(status)) = gateway.child.try_wait() {
                return Err(format!("the gateway ended before it was ready: {status}"));
            }
            if Instant::now() > until {
                return Err(format!("the gateway was not ready after {} s", READY.as_secs()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(gateway)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Asks a child to end, and kills it with its children if it does not.
pub(crate) fn end(child: &mut Child) {
    process::terminate(child.id());
    let until = Instant::now() + GOODBYE;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    process::kill_tree(child.id());
    // It has been killed; its status says no more than that.
    let _ = child.wait();
}

/// A loopback port that nobody listens on at this moment.
pub(crate) fn free_tcp() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(|why| why.to_string())
}

fn free_udp() -> Result<SocketAddr, String> {
    UdpSocket::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(|why| why.to_string())
}

fn ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
