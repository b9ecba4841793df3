//! Where the gateway keeps its logs.

use std::{fs::File, time::Duration};

use reqwest::Url;

use super::{
    super::{JetStream, LOSS_WINDOW, LOSS_WINDOW_MAX, Secret, Store, file, located::Given, units},
    Resolver, place,
};

/// The longest that a prefix may be, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// A shorter lease is lost to a slow disk of NATS, a longer one makes everybody wait.
const LEASES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

impl Resolver<'_> {
    pub(super) fn store(&mut self, store: &file::Store) -> Store {
        let engine = self.read(&store.engine, |text| match text {
            "memory" | "disk" | "jetstream" => Ok(text.to_owned()),
            _ => Err("an engine; there are `memory`, `disk` and `jetstream`".to_owned()),
        });
        let disk = self.disk(store);
        let jetstream = self.jetstream(store);
        let at = store.engine.0.as_ref().map(|engine| engine.place);
        let engine = engine.as_deref().unwrap_or("memory");
        self.belongs(engine, "disk", &[("path", &store.path), ("loss_window", &store.loss_window)]);
        self.belongs(
            engine,
            "jetstream",
            &[
                ("url", &store.url),
                ("prefix", &store.prefix),
                ("replicas", &store.replicas),
                ("lease", &store.lease),
                ("credentials", &store.credentials),
            ],
        );
        match engine {
            "disk" => disk.unwrap_or_else(|| {
                let message = "`engine: disk` needs a directory of its own, such as `path: /var/lib/tokenway`";
                self.wrong(at, message);
                Store::Memory
            }),
            "jetstream" if store.url.0.is_none() => {
                let message = "`engine: jetstream` needs the NATS servers that keep it, such as \
                               `url: nats://127.0.0.1:4222`";
                self.wrong(at, message);
                Store::Memory
            }
            "jetstream" => jetstream.map_or(Store::Memory, Store::JetStream),
            _ => Store::Memory,
        }
    }

    /// Keys that only one engine reads.
    fn belongs(&mut self, engine: &str, to: &str, keys: &[(&str, &Given<String>)]) {
        for (key, given) in keys.iter().filter(|_| engine != to) {
            if let Some(at) = place(given) {
                self.wrong(Some(at), format!("`{key}` needs `engine: {to}` beside it"));
            }
        }
    }

    fn disk(&mut self, store: &file::Store) -> Option<Store> {
        let path = self.text(&store.path).filter(|path| !path.value.trim().is_empty());
        let loss_window = self.read(&store.loss_window, |text| match units::duration(text)? {
            long if long > LOSS_WINDOW_MAX => Err("a duration of at most `10s`".to_owned()),
            window => Ok(window),
        });
        Some(Store::Disk {
            path: self.directory.join(path?.value),
            loss_window: loss_window.unwrap_or(LOSS_WINDOW),
        })
    }

    fn jetstream(&mut self, store: &file::Store) -> Option<JetStream> {
        let default = JetStream::default();
        let directory = self.directory;
        let url = self.read(&store.url, servers);
        let prefix = self.read(&store.prefix, |text| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            match (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
                true => Ok(text.to_owned()),
                false => Err("a prefix of 1 to 32 of the characters A-Z a-z 0-9 _ -".to_owned()),
            }
        });
        let replicas = self.read(&store.replicas, |text| match text {
            "1" => Ok(1),
            "3" => Ok(3),
            "5" => Ok(5),
            _ => Err("a number of replicas; there may be `1`, `3` or `5`".to_owned()),
        });
        let lease = self.read(&store.lease, |text| match units::duration(text)? {
            lease if lease < LEASES[0] || lease > LEASES[1] => {
                Err("a duration from `500ms` to `60s`".to_owned())
            }
            lease => Ok(lease),
        });
        let credentials = self.read(&store.credentials, |text| {
            let path = directory.join(text);
            match File::open(&path) {
                Ok(_) => Ok(path),
                Err(error) => Err(format!("a file that can be read: {error}")),
            }
        });
        Some(JetStream {
            url: Secret::new(url?),
            prefix: prefix.unwrap_or(default.prefix),
            replicas: replicas.unwrap_or(default.replicas),
            lease: lease.unwrap_or(default.lease),
            credentials,
        })
    }
}

/// One or more servers.
fn servers(text: &str) -> Result<String, String> {
    let is_server = |text: &str| {
        Url::parse(text).is_ok_and(|url| {
            ["nats", "tls"].contains(&url.scheme())
                && url.has_host()
                && matches!(url.path(), "" | "/")
                && url.query().is_none()
        })
    };
    match text.split(',').map(str::trim).all(is_server) {
        true => Ok(text.to_owned()),
        false => Err("the URL of a NATS server such as `nats://127.0.0.1:4222`, or several with \
                      commas between them"
            .to_owned()),
    }
}
