//! Where the gateway listens, and where it keeps its logs.

use std::net::SocketAddr;

use super::{
    super::{Listen, Public, Store, file, located::Given},
    Resolver, http_url,
};

/// Engines to come.
const ENGINES_LATER: [&str; 2] = ["disk", "jetstream"];

/// Why an address must not be listened on, if so.
pub(in crate::config) fn exposure(address: SocketAddr) -> Option<String> {
    (!address.ip().is_loopback()).then(|| {
        format!(
            "`{address}` can be reached from other machines, and without `access.keys` the gateway is open to \
             all who reach it; give keys, or listen on loopback, such as `127.0.0.1:{}`",
            address.port()
        )
    })
}

impl Resolver<'_> {
    /// `open`: there are no keys.
    pub(super) fn listen(&mut self, listen: &file::Listen, open: bool) -> Listen {
        let default = Listen::default();
        let mut address = |given: &Given<String>, default| {
            let address = self.read(given, |text| match text.strip_prefix("localhost:") {
                Some(port) => Err(format!("an address in digits, `127.0.0.1:{port}`")),
                None => text.parse().map_err(|_| "an address such as `127.0.0.1:8080`".to_owned()),
            });
            let place = given.0.as_ref().map(|given| given.place);
            if let Some(fault) = address.filter(|_| open).and_then(exposure) {
                self.wrong(place, fault);
            }
            address.unwrap_or(default)
        };
        Listen {
            http: address(&listen.http, default.http),
            webtransport: address(&listen.webtransport, default.webtransport),
            public: Public {
                http: self.read(&listen.public.http, |text| {
                    http_url(text)
                        .ok_or_else(|| "a URL such as `https://gateway.example`".to_owned())
                }),
                webtransport: self.read(&listen.public.webtransport, |text| {
                    http_url(text).filter(|url| url.scheme() == "https").ok_or_else(|| {
                        "an https URL such as `https://gateway.example:4433`".to_owned()
                    })
                }),
            },
        }
    }

    pub(super) fn store(&mut self, store: &file::Store) -> Store {
        self.read(&store.engine, |text| match text {
            "memory" => Ok(()),
            later if ENGINES_LATER.contains(&later) => {
                Err("available in this version; there is `memory`".to_owned())
            }
            _ => Err("an engine; there is `memory`".to_owned()),
        });
        self.not_yet("store.path", &store.path);
        self.not_yet("store.url", &store.url);
        Store::Memory
    }
}
