//! A provider's keys: which one the next call goes with.
//!
//! The first key is used as long as it may be, since providers keep prompts in caches by key; one that the provider limits
//! (429) rests as long as the answer's `retry-after` says, and the one that has been in peace for longest takes its place.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::time::Instant;

/// Where the provider does not say: most limits are for a minute, and fill again while it passes.
const REST: Duration = Duration::from_secs(10);

/// A day's limit is worth a call an hour, to see whether it was raised.
const REST_MAX: Duration = Duration::from_secs(60 * 60);

/// One of a provider's keys, by its place in the config. Says nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyIndex(usize);

/// The keys of one provider, ready to be sent.
pub(super) struct Keys {
    headers: Vec<(HeaderName, HeaderValue)>,
    rests: Mutex<Rests>,
}

impl Keys {
    pub(super) fn new(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let mut headers = headers;
        headers.iter_mut().for_each(|(_, value)| value.set_sensitive(true));
        let rests = Mutex::new(Rests(vec![None; headers.len()]));
        Self { headers, rests }
    }

    /// The key for a call made now, and the header that carries it; `None` if there are no keys.
    pub(super) fn pick(&self, now: Instant) -> Option<(KeyIndex, &(HeaderName, HeaderValue))> {
        let key = self.rests.lock().pick(now)?;
        Some((key, &self.headers[key.0]))
    }

    /// An answer to a call with this key came.
    pub(super) fn answered(
        &self,
        key: KeyIndex,
        status: StatusCode,
        headers: &HeaderMap,
        now: Instant,
    ) {
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.rest(key, now + retry_after(headers).unwrap_or(REST).min(REST_MAX));
        }
    }

    pub(super) fn rest(&self, key: KeyIndex, until: Instant) {
        self.rests.lock().rest(key, until);
    }

    pub(super) fn has_rested(&self, now: Instant) -> bool {
        self.rests.lock().has_rested(now)
    }
}

/// Without the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("count", &self.headers.len()).finish_non_exhaustive()
    }
}

/// Until when each key rests or has rested; `None` never did.
#[derive(Debug)]
struct Rests(Vec<Option<Instant>>);

impl Rests {
    /// Of those that need no rest, the one whose rest is the longest ago; if all rest, the one that has to the least.
    fn pick(&self, now: Instant) -> Option<KeyIndex> {
        let keys = self.0.iter().enumerate();
        // In either case the earliest; and any that has rested is before any that still does.
        let (index, _) =
            keys.min_by_key(|(index, until)| (is_resting(**until, now), **until, *index))?;
        Some(KeyIndex(index))
    }

    fn rest(&mut self, key: KeyIndex, until: Instant) {
        // A key of another provider is nobody's here.
        if let Some(rest) = self.0.get_mut(key.0) {
            *rest = Some(rest.map_or(until, |known| known.max(until)));
        }
    }

    fn has_rested(&self, now: Instant) -> bool {
        self.0.iter().any(|until| !is_resting(*until, now))
    }
}

/// In seconds, which some write with decimals. As a date (RFC 9110, section 10.2.3) no provider is known to say it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn is_resting(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| until > now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_key_is_kept_until_it_is_limited_and_then_they_take_turns() {
        let (mut rests, now) = (Rests(vec![None; 3]), Instant::now());
        let [a, b, c] = [0, 1, 2].map(KeyIndex);
        assert_eq!(rests.pick(now), Some(a));
        assert_eq!(rests.pick(now), Some(a), "its prompts are in the provider's cache");
        rests.rest(a, now + secs(10));
        assert_eq!(rests.pick(now), Some(b));
        rests.rest(b, now + secs(5));
        assert_eq!(rests.pick(now), Some(c));
        assert!(rests.has_rested(now));
        rests.rest(c, now + secs(7));
        assert!(!rests.has_rested(now));
        assert_eq!(rests.pick(now), Some(b), "the first that will be well again");
        assert!(rests.has_rested(now + secs(5)));
        assert_eq!(rests.pick(now + secs(20)), Some(b), "whose rest is the longest ago");
        rests.rest(b, now + secs(1));
        assert_eq!(rests.0[1], Some(now + secs(5)), "a later word does not shorten a rest");
    }

    #[test]
    fn a_limited_key_rests_as_long_as_the_answer_says() {
        let now = Instant::now();
        for (status, retry_after, rest) in [
            (200, Some("30"), None),
            (503, Some("30"), None),
            (429, Some("30"), Some(secs(30))),
            (429, Some(" 0.5 "), Some(Duration::from_millis(500))),
            (429, None, Some(REST)),
            (429, Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(REST)),
            (429, Some("-1"), Some(REST)),
            (429, Some("NaN"), Some(REST)),
            (429, Some("86400"), Some(REST_MAX)),
        ] {
            let header = (HeaderName::from_static("x-api-key"), HeaderValue::from_static("k"));
            let keys = Keys::new(vec![header]);
            let headers = retry_after.map(|value| (RETRY_AFTER, HeaderValue::from_static(value)));
            let status = StatusCode::from_u16(status).expect("a status");
            keys.answered(KeyIndex(0), status, &headers.into_iter().collect(), now);
            let until = keys.rests.lock().0[0];
            assert_eq!(until, rest.map(|rest| now + rest), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_provider_without_keys_has_none_to_rest() {
        let (keys, now) = (Keys::new(Vec::new()), Instant::now());
        assert!(keys.pick(now).is_none() && !keys.has_rested(now));
        keys.rest(KeyIndex(0), now);
    }

    #[test]
    fn no_way_of_printing_keys_shows_them() {
        let name = HeaderName::from_static("x-api-key");
        let keys = Keys::new(vec![(name, HeaderValue::from_static("sk-secret"))]);
        let (_, header) = keys.pick(Instant::now()).expect("a key");
        assert!(!format!("{keys:?} {header:?}").contains("sk-secret"));
    }

    proptest! {
        #[test]
        fn a_key_that_rests_is_picked_only_if_all_do(
            count in 1..6usize,
            steps in proptest::collection::vec((0..6usize, 0..20u64, 0..5u64), 0..60),
        ) {
            let (mut rests, mut now) = (Rests(vec![None; count]), Instant::now());
            for (key, rest, wait) in steps {
                now += secs(wait);
                rests.rest(KeyIndex(key), now + secs(rest));
                let picked = rests.pick(now).expect("there are keys").0;
                prop_assert_eq!(is_resting(rests.0[picked], now), !rests.has_rested(now));
                if !rests.has_rested(now) {
                    prop_assert_eq!(rests.0[picked], rests.0.iter().copied().min().expect("keys"));
                }
            }
        }
    }
}
