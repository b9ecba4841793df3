//! How a provider is called over HTTP: its keys, its headers, the way there, and when it is left alone.

use std::{fs, time::Duration};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    super::{
        BREAKER_FAILURES_MAX, Breaker, Http, Secret, file,
        located::{At, Entries, Given},
        problem::Place,
        units,
    },
    Resolver, is_header_value, place,
};

/// As in the schema.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// Where the keys of this file are given, if they are: for dialects that have none of them.
pub(super) fn places(provider: &file::Provider) -> [(&'static str, Option<Place>); 7] {
    let file::Breaker { failures, window, open } = &provider.breaker;
    let first = |list: &[At<String>]| list.first().map(|first| first.place);
    [
        ("api_keys", first(&provider.api_keys)),
        ("key_header", place(&provider.key_header)),
        ("forward_caller_key", place(&provider.forward_caller_key)),
        ("remove_headers", first(&provider.remove_headers)),
        ("proxy", place(&provider.proxy)),
        ("ca", place(&provider.ca)),
        ("breaker", [failures, window, open].into_iter().find_map(place)),
    ]
}

impl Resolver<'_> {
    pub(super) fn outbound(&mut self, provider: &file::Provider, http: &mut Http) {
        http.api_keys = self.api_keys(provider);
        http.key_header = self.key_header(provider);
        let forward = self.read(&provider.forward_caller_key, |text| {
            text.parse().map_err(|_| "`true` or `false`".to_owned())
        });
        http.forward_caller_key = forward.unwrap_or_default();
        http.headers = self.headers(&provider.headers);
        http.remove_headers = self.remove_headers(&provider.remove_headers, &http.headers);
        http.proxy = self.proxy(&provider.proxy);
        http.ca = self.ca(&provider.ca);
        http.breaker = self.breaker(&provider.breaker);
    }

    fn api_keys(&mut self, provider: &file::Provider) -> Vec<Secret> {
        let (one, several) = (&provider.api_key.0, &provider.api_keys);
        if let (Some(_), Some(first)) = (one, several.first()) {
            let message = "`api_key` and `api_keys` are both given; put all keys under `api_keys`";
            self.wrong(Some(first.place), message);
        }
        let single = one.iter().map(|key| ("api_key", key));
        let several = several.iter().map(|key| ("api_keys", key));
        let mut keys: Vec<Secret> = Vec::new();
        for (name, given) in single.chain(several) {
            let Some(key) = self.expand(given) else { continue };
            if key.trim().is_empty() || !is_header_value(&key) {
                let message = format!(
                    "`{name}` is empty or holds characters that cannot be sent; for a provider without a key, \
                     take `{name}` out"
                );
                self.wrong(Some(given.place), message);
            } else if keys.iter().any(|known| known.expose() == key) {
                self.wrong(Some(given.place), "the same key is given twice; keep one");
            } else {
                keys.push(Secret::new(key));
            }
        }
        keys
    }

    fn key_header(&mut self, provider: &file::Provider) -> Option<HeaderName> {
        let given = self.text(&provider.key_header)?;
        if provider.api_key.0.is_none() && provider.api_keys.is_empty() {
            let message = "`key_header` has no effect without `api_key`; take it out";
            self.wrong(Some(given.place), message);
        }
        self.header_name(&given)
    }

    pub(super) fn headers(
        &mut self,
        headers: &Entries<At<String>>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut all = Vec::new();
        for (name, value) in &headers.0 {
            let header = self.header_name(name);
            let Some(expanded) = self.expand(value) else { continue };
            let value_as_header = HeaderValue::from_str(&expanded).ok();
            if value_as_header.is_none() {
                let message = format!("the value of `{}` cannot be sent in a header", name.value);
                self.wrong(Some(value.place), message);
            }
            if let (Some(header), Some(mut value)) = (header, value_as_header) {
                value.set_sensitive(true);
                all.push((header, value));
            }
        }
        all
    }

    fn remove_headers(
        &mut self,
        names: &[At<String>],
        set: &[(HeaderName, HeaderValue)],
    ) -> Vec<HeaderName> {
        let mut all = Vec::new();
        for name in names {
            let Some(header) = self.header_name(name) else { continue };
            if set.iter().any(|(set, _)| *set == header) {
                let message = format!(
                    "`{}` is set under `headers`, in place of the app's; take it out here",
                    name.value
                );
                self.wrong(Some(name.place), message);
            }
            all.push(header);
        }
        all
    }

    fn header_name(&mut self, name: &At<String>) -> Option<HeaderName> {
        let header = HeaderName::try_from(&name.value).ok();
        if header.is_none() {
            self.wrong(Some(name.place), format!("`{}` is not a header's name", name.value));
        }
        header
    }

    /// Unlike other values it is not quoted when it is wrong: it may hold a password.
    fn proxy(&mut self, given: &Given<String>) -> Option<Secret> {
        let text = self.text(given)?;
        let url = Url::parse(&text.value).ok();
        let url = url.filter(|url| PROXIES.contains(&url.scheme()) && url.has_host());
        if url.is_none_or(|url| reqwest::Proxy::all(url).is_err()) {
            let message = "`proxy` is not a URL such as `http://proxy.example:3128` or `socks5://127.0.0.1:1080`";
            self.wrong(Some(text.place), message);
            return None;
        }
        Some(Secret::new(text.value))
    }

    fn ca(&mut self, given: &Given<String>) -> Vec<CertificateDer<'static>> {
        let Some(file) = self.text(given) else { return Vec::new() };
        let certificates = fs::read(self.directory.join(&file.value))
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|pem| certificates(&pem));
        certificates.unwrap_or_else(|fault| {
            self.wrong(Some(file.place), format!("`{}` {fault}", file.value));
            Vec::new()
        })
    }

    fn breaker(&mut self, breaker: &file::Breaker) -> Breaker {
        let default = Breaker::default();
        let failures = self.read(&breaker.failures, |text| {
            let failures = text.parse().ok();
            let failures =
                failures.filter(|failures| (1..=BREAKER_FAILURES_MAX).contains(failures));
            failures.ok_or_else(|| format!("a whole number from 1 to {BREAKER_FAILURES_MAX}"))
        });
        let some = |text: &str| match units::duration(text)? {
            Duration::ZERO => Err("a duration of more than nothing".to_owned()),
            duration => Ok(duration),
        };
        Breaker {
            failures: failures.unwrap_or(default.failures),
            window: self.read(&breaker.window, some).unwrap_or(default.window),
            open: self.read(&breaker.open, some).unwrap_or(default.open),
        }
    }
}

/// Those in a PEM file, each of which can be trusted. The error completes the sentence "FILE …".
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| format!("is not PEM: {error}"))?;
    if all.is_empty() {
        return Err("holds no certificate (`-----BEGIN CERTIFICATE-----`)".to_owned());
    }
    let mut store = RootCertStore::empty();
    for certificate in &all {
        store
            .add(certificate.clone())
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    Ok(all)
}
