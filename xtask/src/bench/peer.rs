//! What stands between the load and the upstream: nothing, nginx, or Tokenway, each with the smallest fair config.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path as FilePath,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    gateway::{Gateway, end, free_tcp},
    process::{self, Usage},
    run::Run,
};

/// A path that tokens can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Path {
    Direct,
    Nginx,
    Tokenway,
}

impl Path {
    /// As the table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Tokenway => "Tokenway",
        }
    }
}

/// A running peer; dropping it ends it.
pub(super) struct Peer {
    /// Where the load goes.
    pub(super) address: SocketAddr,
    running: Running,
}

enum Running {
    Nothing,
    Nginx(Child),
    Tokenway(Gateway),
}

impl Peer {
    /// Starts it in front of the upstream and waits until it listens.
    pub(super) fn start(path: Path, root: &FilePath, upstream: SocketAddr) -> Result<Self, String> {
        let place = root.join("target/bench");
        fs::create_dir_all(place.join("tmp"))
            .map_err(|why| format!("{}: {why}", place.display()))?;
        match path {
            Path::Direct => Ok(Self { address: upstream, running: Running::Nothing }),
            Path::Nginx => nginx(&place, upstream),
            Path::Tokenway => tokenway(root, &place, upstream),
        }
    }

    /// What its processes have used so far.
    pub(super) fn usage(&self) -> Usage {
        match &self.running {
            Running::Nothing => Usage::default(),
            Running::Nginx(child) => process::usage(child.id()),
            Running::Tokenway(gateway) => process::usage(gateway.pid()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Running::Nginx(child) = &mut self.running {
            end(child);
        }
    }
}

fn nginx(place: &FilePath, upstream: SocketAddr) -> Result<Peer, String> {
    let address = free_tcp()?;
    let config = place.join("nginx.conf");
    fs::write(&config, nginx_config(place, address, upstream)).map_err(|why| why.to_string())?;
    let program =
        if FilePath::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .arg("-e")
        .arg(place.join("nginx.log"))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|why| format!("{program}: {why}"))?;
    let mut peer = Peer { address, running: Running::Nginx(child) };
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if let Running::Nginx(child) = &mut peer.running
            && !matches!(child.try_wait(), Ok(None))
        {
            return Err(format!("it ended at once; see {}", place.join("nginx.log").display()));
        }
        if Instant::now() > until {
            return Err("it does not listen".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(peer)
}

fn nginx_config(place: &FilePath, listen: SocketAddr, upstream: SocketAddr) -> String {
    // A master that is root runs its workers as nobody, who could not reach our folder.
    let root = Run::new("id -u", place, Duration::MAX).read().as_deref() == Some("0");
    let user = if root { "user root;" } else { "" };
    let place = place.display();
    format!(
        "daemon off; {user}
worker_processes auto;
worker_rlimit_nofile 16384;
pid {place}/nginx.pid;
error_log {place}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {place}/tmp/body;
    proxy_temp_path {place}/tmp/proxy;
    fastcgi_temp_path {place}/tmp/fastcgi;
    uwsgi_temp_path {place}/tmp/uwsgi;
    scgi_temp_path {place}/tmp/scgi;
    upstream provider {{ server {upstream}; keepalive 256; }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"
    )
}

fn tokenway(root: &FilePath, place: &FilePath, upstream: SocketAddr) -> Result<Peer, String> {
    let config = place.join("tokenway.yaml");
    let yaml = format!(
        "version: 1
providers:
  bench: {{ dialect: openai, base_url: \"http://{upstream}/v1\" }}
models:
  bench: {{ targets: [ {{ provider: bench, model: bench }} ] }}
"
    );
    fs::write(&config, yaml).map_err(|why| why.to_string())?;
    let arguments = ["serve", "--config", &config.display().to_string()];
    let gateway = Gateway::start(&root.join("target/release/tokenway"), &arguments)?;
    Ok(Peer { address: gateway.http, running: Running::Tokenway(gateway) })
}
