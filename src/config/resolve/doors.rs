//! Where the gateway listens, and as whom.

use std::{fs, net::SocketAddr};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{
    super::{
        Acme, Listen, Public, Tls, TlsFiles, file,
        located::{At, Given},
    },
    Resolver, http_url, place,
};

/// The directory of the authority that most use.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// A name that an authority can look for. What it ends in tells it from an address.
fn domain_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address =
        text.rsplit('.').next().is_some_and(|it| !it.bytes().any(|it| it.is_ascii_alphabetic()));
    if text.starts_with("*.") {
        return Err(
            "a name of one host; for `*.` authorities want DNS-01, which is not available".into()
        );
    }
    match text.len() <= 253 && text.split('.').all(label) && !is_address {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a domain name such as `gateway.example`".into()),
    }
}

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
            if let Some(fault) = address.filter(|_| open).and_then(exposure) {
                self.wrong(place(given), fault);
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

    pub(super) fn tls(&mut self, tls: &file::Tls) -> Option<Tls> {
        if let Some(acme) = &tls.acme.0 {
            for place in [place(&tls.cert), place(&tls.key)].into_iter().flatten() {
                let message = "a certificate comes from files or from `acme`; leave one out";
                self.wrong(Some(place), message);
            }
            return Some(Tls::Acme(self.acme(acme)));
        }
        for (given, other, missing) in [(&tls.cert, &tls.key, "key"), (&tls.key, &tls.cert, "cert")]
        {
            if let (Some(place), None) = (place(given), place(other)) {
                let message = format!("`tls` has no `{missing}`; it needs `cert` and `key`");
                self.wrong(Some(place), message);
            }
        }
        let directory = self.directory;
        let mut file = |given, holds_one: fn(&[u8]) -> bool, expected: &str| {
            self.read(given, |text| {
                let path = directory.join(text);
                let read = fs::read(&path);
                match read {
                    Ok(pem) if holds_one(&pem) => Ok(path),
                    Ok(_) => Err(format!("a PEM file with {expected}")),
                    Err(error) => Err(format!("a file that can be read: {error}")),
                }
            })
        };
        let cert = file(
            &tls.cert,
            |pem| CertificateDer::pem_slice_iter(pem).next().is_some_and(|it| it.is_ok()),
            "a certificate",
        );
        let key =
            file(&tls.key, |pem| PrivateKeyDer::from_pem_slice(pem).is_ok(), "an unencrypted key");
        Some(Tls::Files(TlsFiles { cert: cert?, key: key? }))
    }

    fn acme(&mut self, At { value: acme, place }: &At<file::Acme>) -> Acme {
        let domains = acme.domains.iter();
        let domains: Vec<_> = domains
            .filter_map(|domain| self.read(&Given(Some(domain.clone())), domain_name))
            .collect();
        if acme.domains.is_empty() {
            self.wrong(Some(*place), "`acme` has no `domains`; name at least one");
        }
        let directory = self.directory;
        Acme {
            domains,
            directory: self
                .read(&acme.directory, |text| {
                    let url = http_url(text).filter(|url| url.scheme() == "https");
                    url.ok_or_else(|| format!("an https URL such as `{LETS_ENCRYPT}`"))
                })
                .unwrap_or_else(|| LETS_ENCRYPT.parse().expect("a URL")),
            contact: self.read(&acme.contact, |text| match text.split_once('@') {
                Some((name, domain)) if !name.is_empty() && domain_name(domain).is_ok() => {
                    Ok(text.to_owned())
                }
                _ => Err("a mail address such as `ops@example.com`".to_owned()),
            }),
            roots: self.read(&acme.roots, |text| {
                let path = directory.join(text);
                let pem =
                    fs::read(&path).map_err(|error| format!("a file that can be read: {error}"))?;
                let first = CertificateDer::pem_slice_iter(&pem).next();
                match first.is_some_and(|it| it.is_ok()) {
                    true => Ok(path),
                    false => Err("a PEM file with a certificate".to_owned()),
                }
            }),
            http: self.read(&acme.http, |text| {
                text.parse().map_err(|_| "an address such as `0.0.0.0:80`".to_owned())
            }),
        }
    }
}
