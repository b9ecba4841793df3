//! Keeps web pages of other origins out.
//!
//! A gateway without keys listens on loopback only, but any web page can make a browser on this machine call it. Three
//! checks keep such calls out: the `Host` must be a loopback name (against DNS rebinding), an `Origin`, if there is one,
//! must be the gateway's own or an allowed one, and an LLM call must be JSON, which a page of another origin cannot send
//! without asking first.
//!
//! With keys, what a browser sends by itself opens nothing: no cookie is looked at. So only the origin is checked, and
//! the gateway's own are those under the name by which it is reached.

use std::net::IpAddr;

use thiserror::Error;

/// The checks.
#[derive(Clone, Debug)]
pub struct Guard {
    mode: Mode,
    allowed_origins: Vec<String>,
}

#[derive(Clone, Debug)]
enum Mode {
    /// No keys; HTTP listens on this port.
    Open { http_port: u16 },
    /// With keys; the origin under which the gateway is reached from outside, if it says so.
    Keyed { public: Option<String> },
}

/// A page's origin, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The gateway's own pages, or no page at all.
    Own,
    /// An origin that the operator allowed.
    Allowed,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// The request names a host that is not this machine's loopback.
    #[error(
        "this gateway has no access keys, so it answers only under a loopback name such as localhost, not under {0:?}"
    )]
    Host(String),
    /// A page of another origin made the request.
    #[error(
        "pages of {0:?} may not call this gateway; access.allowed_origins names those that may"
    )]
    Origin(String),
    /// An LLM call that is not declared to be JSON.
    #[error("an LLM call needs the header content-type: application/json")]
    ContentType,
}

impl Guard {
    /// A guard for a gateway without keys, whose HTTP side listens on `http_port`.
    pub fn open(http_port: u16, allowed_origins: Vec<String>) -> Self {
        Self { mode: Mode::Open { http_port }, allowed_origins }
    }

    /// A guard for a gateway with keys. `public` is its own origin, where that differs from what requests call it.
    pub fn keyed(public: Option<String>, allowed_origins: Vec<String>) -> Self {
        Self { mode: Mode::Keyed { public }, allowed_origins }
    }

    /// The `Host` header, or the authority of an HTTP/2 or QUIC request.
    pub fn host(&self, host: &str) -> Result<(), Denied> {
        match &self.mode {
            Mode::Open { .. } if !is_loopback_name(host_name(host)) => {
                Err(Denied::Host(shortened(host)))
            }
            Mode::Open { .. } | Mode::Keyed { .. } => Ok(()),
        }
    }

    /// The `Origin` header, if there is one, of a request to `host`.
    pub fn origin(&self, origin: Option<&str>, host: &str) -> Result<Origin, Denied> {
        let Some(origin) = origin else { return Ok(Origin::Own) };
        if self.allows(origin) {
            return Ok(Origin::Allowed);
        }
        let authority = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        let own = authority.is_some_and(|authority| match &self.mode {
            Mode::Open { http_port } => {
                let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                port.unwrap_or(80) == *http_port && is_loopback_name(host_name(authority))
            }
            // Without the port: that of WebTransport is another than the page's.
            Mode::Keyed { public } => {
                let reached = host_name(host);
                let same = host_name(authority).eq_ignore_ascii_case(reached);
                (same && !reached.is_empty()) || public.as_deref() == Some(origin)
            }
        });
        if own { Ok(Origin::Own) } else { Err(Denied::Origin(shortened(origin))) }
    }

    /// The `Content-Type` of an LLM call.
    pub fn content_type(&self, content_type: Option<&str>) -> Result<(), Denied> {
        if let Mode::Keyed { .. } = self.mode {
            return Ok(());
        }
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        match media_type.trim().eq_ignore_ascii_case("application/json") {
            true => Ok(()),
            false => Err(Denied::ContentType),
        }
    }

    /// The `Content-Type` of a call that only passes through, which may be an upload or have no body. What plain forms
    /// of other pages send is refused; a form that uploads is known by its `Origin`, which browsers never leave out.
    pub fn passing_content_type(&self, content_type: Option<&str>) -> Result<(), Denied> {
        let (Mode::Open { .. }, Some(content_type)) = (&self.mode, content_type) else {
            return Ok(());
        };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let plain = ["text/plain", "application/x-www-form-urlencoded"];
        match plain.iter().any(|plain| media_type.eq_ignore_ascii_case(plain)) {
            true => Err(Denied::ContentType),
            false => Ok(()),
        }
    }

    /// Whether the operator allowed pages of this origin. `http://localhost:*` stands for every port there, for pages
    /// that are being developed.
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(named) => origin
                .split_at_checked(named.len())
                .is_some_and(|(at, port)| at.eq_ignore_ascii_case(named) && is_port(port)),
            None => allowed.eq_ignore_ascii_case(origin),
        })
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_name(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_loopback_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// What a stranger sent, short enough to repeat.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::open(8080, vec!["https://app.example".into()])
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "127.9.9.9",
            "LocalHost.",
            "app.localhost:3000",
        ] {
            assert_eq!(guard().host(host), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "192.168.1.5:8080",
            "0.0.0.0",
            "127.0.0.1.evil.example",
            "[::2]",
        ] {
            assert!(guard().host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn only_own_and_allowed_pages_are_let_in() {
        for (origin, expected) in [
            (None, Ok(Origin::Own)),
            (Some("http://localhost:8080"), Ok(Origin::Own)),
            (Some("http://127.0.0.1:8080"), Ok(Origin::Own)),
            (Some("https://app.example"), Ok(Origin::Allowed)),
        ] {
            assert_eq!(guard().origin(origin, "localhost:8080"), expected, "{origin:?}");
        }
        for origin in [
            "null",
            "http://localhost:3000",
            "https://evil.example:8080",
            "http://localhost",
            "file://",
            "https://app.example.evil.example",
        ] {
            assert!(guard().origin(Some(origin), "localhost:8080").is_err(), "{origin}");
        }
    }

    #[test]
    fn every_port_of_a_host_can_be_allowed() {
        let guard = Guard::open(8080, vec!["http://localhost:*".into()]);
        for origin in ["http://localhost:5173", "http://LOCALHOST:3000"] {
            assert!(guard.allows(origin), "{origin}");
        }
        for origin in [
            "http://localhost",
            "http://localhost:",
            "http://localhost:+1",
            "http://localhost:99999",
            "https://localhost:5173",
            "http://localhost:5173.evil.example",
            "http://localhost.evil.example:5173",
        ] {
            assert!(!guard.allows(origin), "{origin}");
        }
    }

    #[test]
    fn an_llm_call_is_json() {
        for good in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(guard().content_type(Some(good)), Ok(()));
        }
        for bad in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(guard().content_type(bad), Err(Denied::ContentType));
        }
        for good in [None, Some("multipart/form-data; boundary=x"), Some("application/json")] {
            assert_eq!(guard().passing_content_type(good), Ok(()));
        }
        for bad in ["text/plain;charset=UTF-8", "Application/X-WWW-Form-Urlencoded"] {
            assert_eq!(guard().passing_content_type(Some(bad)), Err(Denied::ContentType));
        }
    }

    #[test]
    fn with_keys_own_pages_are_those_under_the_name_it_is_reached_by() {
        let public = Some("https://gateway.example".to_owned());
        let guard = Guard::keyed(public, vec!["https://app.example".into()]);
        assert_eq!(guard.host("anything.example"), Ok(()));
        assert_eq!(guard.content_type(None), Ok(()));
        assert_eq!(guard.passing_content_type(Some("text/plain")), Ok(()));
        for (origin, host, expected) in [
            (None, "10.0.0.1:8080", Ok(Origin::Own)),
            (Some("https://app.example"), "10.0.0.1:8080", Ok(Origin::Allowed)),
            (Some("https://gateway.example"), "10.0.0.1:8080", Ok(Origin::Own)),
            (Some("http://10.0.0.1:8080"), "10.0.0.1:4433", Ok(Origin::Own)),
            (Some("http://[::2]:8080"), "[::2]:4433", Ok(Origin::Own)),
        ] {
            assert_eq!(guard.origin(origin, host), expected, "{origin:?} {host}");
        }
        for (origin, host) in [
            ("https://evil.example", "gateway.example"),
            ("null", "gateway.example"),
            ("null", ""),
            ("http://", ""),
            ("https://gateway.example.evil.example", "gateway.example"),
        ] {
            assert!(guard.origin(Some(origin), host).is_err(), "{origin} {host}");
        }
    }
}
