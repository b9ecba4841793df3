//! Which headers cross the gateway, and the ones it adds.
//!
//! Upstream goes everything but what belongs to the caller's own connection or identifies it: its credentials, cookies
//! and addresses stay here. Downstream comes everything but what belongs to the provider's connection.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    channel::Channel,
    ident::{ChannelId, GenerationId},
};

use super::problem::Problem;

/// Names the channel, in requests and responses.
pub(super) const CHANNEL: HeaderName = HeaderName::from_static("tokenway-channel");
pub(super) const EPOCH: HeaderName = HeaderName::from_static("tokenway-epoch");
pub(super) const GENERATION: HeaderName = HeaderName::from_static("tokenway-generation");
pub(super) const PROVIDER: HeaderName = HeaderName::from_static("tokenway-provider");

/// Of one connection, in either direction (RFC 9110, section 7.6.1), or set anew for each.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The caller's own: who it is, where it comes from, what it wants of the gateway.
const STAYS_HERE: [&str; 16] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "last-event-id",
    "origin",
    "prefer",
    "proxy-authorization",
    "referer",
    "via",
    "x-api-key",
    "x-goog-api-key",
    "x-real-ip",
];
const STAYS_HERE_PREFIXES: [&str; 3] = ["sec-", "tokenway-", "x-forwarded-"];

/// What goes to the provider of what the app sent.
pub(super) fn upstream(from_app: &HeaderMap) -> HeaderMap {
    // Beyond the usual ones, a connection may name fields of its own.
    let of_connection = from_app.get_all(header::CONNECTION).iter();
    let of_connection = of_connection.filter_map(|value| value.to_str().ok());
    let of_connection: Vec<_> =
        of_connection.flat_map(|value| value.split(',')).map(str::trim).collect();
    let passes = |name: &HeaderName| {
        let name = name.as_str();
        !HOP_BY_HOP.contains(&name)
            && !of_connection.iter().any(|other| other.eq_ignore_ascii_case(name))
            && !STAYS_HERE.contains(&name)
            && !STAYS_HERE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut headers = pick(from_app, passes);
    // Nothing here unpacks, and without a word of it a provider may choose.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// What goes to the app of what the provider sent.
pub(super) fn downstream(from_provider: &HeaderMap) -> HeaderMap {
    let stays = ["set-cookie", "alt-svc", "strict-transport-security"];
    pick(from_provider, |name| {
        let name = name.as_str();
        // Which pages may read the answer is ours to say.
        !HOP_BY_HOP.contains(&name)
            && !stays.contains(&name)
            && !name.starts_with("access-control-")
    })
}

fn pick(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let passing = headers.iter().filter(|(name, _)| passes(name));
    passing.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The channel that the app names, if it names one.
pub(super) fn channel(headers: &HeaderMap) -> Result<Option<ChannelId>, Problem> {
    let Some(value) = headers.get(CHANNEL) else { return Ok(None) };
    let id = ChannelId::parse(value.to_str().unwrap_or_default());
    id.map(Some).map_err(|error| Problem::from(error).about(CHANNEL.as_str()))
}

/// Whether the app wants its generation detached (RFC 7240, section 4.1).
pub(super) fn wants_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut words = preferences.flat_map(|value| value.split(','));
    words.any(|word| {
        let name = word.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("respond-async")
    })
}

/// Tells the app where its generation can be found.
pub(super) fn identify(
    headers: &mut HeaderMap,
    channel: &Channel,
    generation: &GenerationId,
    provider: &str,
) {
    let epoch = channel.epoch().to_string();
    for (name, value) in [
        (CHANNEL, channel.key().id.as_str()),
        (EPOCH, &epoch),
        (GENERATION, generation.as_str()),
        (PROVIDER, provider),
    ] {
        // A provider's name comes from the operator and may hold what a header cannot.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_callers_credentials_stay_here() {
        let sent = map(&[
            ("authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("x-api-key", "secret"),
            ("tokenway-channel", "c"),
            ("sec-fetch-mode", "cors"),
            ("x-forwarded-for", "10.0.0.1"),
            ("openai-organization", "org"),
            ("content-type", "application/json"),
        ]);
        let kept = map(&[
            ("openai-organization", "org"),
            ("content-type", "application/json"),
            ("accept-encoding", "identity"),
        ]);
        assert_eq!(upstream(&sent), kept);
    }

    #[test]
    fn respond_async_is_found_among_preferences() {
        assert!(wants_async(&map(&[("prefer", "wait=5, Respond-Async")])));
        assert!(!wants_async(&map(&[("prefer", "wait=5")])));
        assert!(!wants_async(&HeaderMap::new()));
    }
}
