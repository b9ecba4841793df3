//! Which headers cross the gateway, and the ones it adds.
//!
//! Upstream goes everything but what belongs to the caller's own connection or identifies it: its credentials, cookies
//! and addresses stay here. Downstream comes everything but what belongs to the provider's connection.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    channel::Channel,
    clock,
    dialect::Dialect,
    generation::Answerer,
    ident::{ChannelId, GenerationId},
};

use super::problem::Problem;

/// Names the channel, in requests and responses.
pub(super) const CHANNEL: HeaderName = HeaderName::from_static("tokenway-channel");
/// A channel token: in a request instead of `authorization`.
pub(super) const TOKEN: HeaderName = HeaderName::from_static("tokenway-token");
/// `1`: the answer is to bring a token of its channel.
const WANT_TOKEN: HeaderName = HeaderName::from_static("tokenway-want-token");
/// The token that was wanted.
pub(super) const CHANNEL_TOKEN: HeaderName = HeaderName::from_static("tokenway-channel-token");
pub(super) const EPOCH: HeaderName = HeaderName::from_static("tokenway-epoch");
pub(super) const GENERATION: HeaderName = HeaderName::from_static("tokenway-generation");
pub(super) const PROVIDER: HeaderName = HeaderName::from_static("tokenway-provider");
pub(super) const ATTEMPTS: HeaderName = HeaderName::from_static("tokenway-attempts");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const DROPPED: HeaderName = HeaderName::from_static("tokenway-dropped");

/// OpenAI's own, which its SDKs and Anthropic's prefer.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The longest `tokenway-dropped`: many servers take 8 KiB of headers in all.
const DROPPED_BYTES_MAX: usize = 2 * 1024;

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

/// The caller's own: who it is, where it comes from, what it wants of the gateway. And what would make another call of it
/// than the one that was let in.
const STAYS_HERE: [&str; 19] = [
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
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];
const STAYS_HERE_PREFIXES: [&str; 3] = ["sec-", "tokenway-", "x-forwarded-"];

/// What any provider may be told, whatever it speaks: who asks in general, and how the call is followed through systems.
const UNIVERSAL: [&str; 7] = [
    "accept-language",
    "baggage",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-correlation-id",
    "x-request-id",
];

/// Whether two dialects are one vendor's, with one set of headers and one shape of errors.
pub(super) fn are_alike(one: Dialect, other: Dialect) -> bool {
    let family = |dialect| match dialect {
        Dialect::Responses => Dialect::OpenAi,
        other => other,
    };
    family(one) == family(other)
}

/// What goes to a provider of another dialect of what the app sent.
pub(super) fn upstream_abroad(from_app: &HeaderMap) -> HeaderMap {
    pick(&upstream(from_app), |name| {
        UNIVERSAL.contains(&name.as_str()) || name == header::ACCEPT_ENCODING
    })
}

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

/// Whether the app wants a token of its generation's channel.
pub(super) fn wants_token(headers: &HeaderMap) -> bool {
    headers.get(WANT_TOKEN).is_some_and(|value| value == "1")
}

/// Gives the app a token of its generation's channel.
pub(super) fn give_token(headers: &mut HeaderMap, token: &str) {
    set(headers, CHANNEL_TOKEN, token);
}

/// Tells the app where its generation can be found.
pub(super) fn locate(headers: &mut HeaderMap, channel: &Channel, generation: &GenerationId) {
    set(headers, CHANNEL, channel.key().id.as_str());
    set(headers, EPOCH, &channel.epoch().to_string());
    set(headers, GENERATION, generation.as_str());
}

/// Tells the app where its generation is in a trace.
pub(super) fn tell_trace(headers: &mut HeaderMap, traceparent: &str) {
    if !traceparent.is_empty() {
        set(headers, TRACEPARENT, traceparent);
    }
}

/// Tells the app who answered, and how many it took.
pub(super) fn name_answerer(headers: &mut HeaderMap, from: &Answerer) {
    name_provider(headers, &from.provider);
    set(headers, ATTEMPTS, &from.attempts.to_string());
}

/// Tells the app who answered, where there is no generation.
pub(super) fn name_provider(headers: &mut HeaderMap, provider: &str) {
    set(headers, PROVIDER, provider);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A provider's name comes from the operator and may hold what a header cannot.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Tells the app what of its call the provider was not told. A name that no header can hold is written with `?`.
pub(super) fn tell_dropped<'a>(headers: &mut HeaderMap, paths: impl Iterator<Item = &'a str>) {
    let mut list = String::new();
    for path in paths {
        if list.len() + path.len() > DROPPED_BYTES_MAX {
            list += ", ...";
            break;
        }
        list += if list.is_empty() { "" } else { ", " };
        list += path;
    }
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let list: String = list.chars().map(plain).collect();
    if let Some(value) = HeaderValue::from_str(&list).ok().filter(|value| !value.is_empty()) {
        headers.insert(DROPPED, value);
    }
}

/// Tells the app when trying again can help, as the provider said it: in a header, or else in its body.
pub(super) fn retry_after(
    headers: &mut HeaderMap,
    from_provider: &HeaderMap,
    in_body: Option<Duration>,
) {
    for name in [header::RETRY_AFTER, RETRY_AFTER_MS] {
        if let Some(value) = from_provider.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(wait) = in_body {
        let seconds = HeaderValue::from(clock::whole_seconds(wait));
        headers.entry(header::RETRY_AFTER).or_insert(seconds);
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
    fn a_vendors_own_headers_go_to_no_other() {
        let sent = map(&[
            ("anthropic-beta", "x"),
            ("anthropic-version", "2023-06-01"),
            ("openai-organization", "org"),
            ("x-goog-api-client", "sdk"),
            ("x-stainless-lang", "js"),
            ("x-api-key", "secret"),
            ("content-type", "application/json; charset=utf-8"),
            ("user-agent", "app/1"),
            ("traceparent", "00-1-2-01"),
        ]);
        let kept = map(&[
            ("user-agent", "app/1"),
            ("traceparent", "00-1-2-01"),
            ("accept-encoding", "identity"),
        ]);
        assert_eq!(upstream_abroad(&sent), kept);
        assert!(are_alike(Dialect::OpenAi, Dialect::Responses));
        assert!(!are_alike(Dialect::OpenAi, Dialect::Anthropic));
    }

    #[test]
    fn what_was_dropped_is_a_list_that_a_header_can_hold() {
        let mut headers = HeaderMap::new();
        tell_dropped(&mut headers, [].into_iter());
        assert!(headers.is_empty());
        tell_dropped(&mut headers, ["seed", "messages[0].é"].into_iter());
        assert_eq!(headers[DROPPED], "seed, messages[0].?");
        let many = vec!["messages[0].content[0]"; 1_000];
        tell_dropped(&mut headers, many.into_iter());
        let list = headers[DROPPED].to_str().expect("text");
        assert!(list.len() < DROPPED_BYTES_MAX + 16 && list.ends_with(", ..."));
    }

    #[test]
    fn when_to_try_again_is_taken_from_the_header_before_the_body() {
        let mut headers = HeaderMap::new();
        retry_after(&mut headers, &HeaderMap::new(), Some(Duration::from_millis(1_200)));
        assert_eq!(headers[header::RETRY_AFTER], "2");
        let mut headers = HeaderMap::new();
        retry_after(&mut headers, &map(&[("retry-after", "7")]), Some(Duration::from_secs(1)));
        assert_eq!(headers[header::RETRY_AFTER], "7");
    }

    #[test]
    fn respond_async_is_found_among_preferences() {
        assert!(wants_async(&map(&[("prefer", "wait=5, Respond-Async")])));
        assert!(!wants_async(&map(&[("prefer", "wait=5")])));
        assert!(!wants_async(&HeaderMap::new()));
    }
}
