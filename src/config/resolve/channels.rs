//! How channels behave: pace, retention, and what happens when everybody is gone.

use std::time::Duration;

use super::{
    super::{
        AFTER_END_MIN, Channels, FRAME_INTERVAL_MAX, GRACE, MAX_BYTES_MIN, OnDisconnect, Retention,
        file, problem::choice, units,
    },
    Resolver,
};

const POLICIES: [&str; 3] = ["cancel", "grace", "drain"];

impl Resolver<'_> {
    pub(super) fn channels(&mut self, channels: &file::Channels) -> Channels {
        let default = Channels::default();
        let frame_interval = self.read(&channels.frame_interval, |text| {
            let interval = units::duration(text)?;
            let allowed = interval <= FRAME_INTERVAL_MAX;
            allowed.then_some(interval).ok_or_else(|| "a duration of at most `500ms`".to_owned())
        });
        let keep_alive = self.read(&channels.keep_alive, |text| match units::duration(text)? {
            short if short < Duration::from_secs(1) => Err("a duration from `1s`".to_owned()),
            duration => Ok(duration),
        });
        let sse_ids = self.read(&channels.sse_ids, |text| {
            text.parse().map_err(|_| "`true` or `false`".to_owned())
        });
        Channels {
            frame_interval: frame_interval.unwrap_or(default.frame_interval),
            retention: self.retention(&channels.retention),
            on_disconnect: self.on_disconnect(&channels.on_disconnect).unwrap_or_default(),
            sse_ids: sse_ids.unwrap_or(default.sse_ids),
            keep_alive: keep_alive.unwrap_or(default.keep_alive),
        }
    }

    pub(super) fn retention(&mut self, retention: &file::Retention) -> Retention {
        let default = Retention::default();
        let after_end = self.read(&retention.after_end, |text| match units::duration(text)? {
            short if short < AFTER_END_MIN => Err("a duration from `1s`".to_owned()),
            duration => Ok(duration),
        });
        let max_bytes = self.read(&retention.max_bytes, |text| match units::size(text)? {
            small if small < MAX_BYTES_MIN => Err("a size from `512KiB`".to_owned()),
            bytes => Ok(bytes),
        });
        Retention {
            after_end: after_end.unwrap_or(default.after_end),
            max_bytes: max_bytes.unwrap_or(default.max_bytes),
        }
    }

    pub(super) fn on_disconnect(&mut self, given: &file::OnDisconnect) -> Option<OnDisconnect> {
        let grace = self.read(&given.grace, units::duration);
        let policy = self.read(&given.policy, |text| match POLICIES.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!("a policy; {}", choice(text, &POLICIES))),
        });
        let grace_at = given.grace.0.as_ref().map(|grace| grace.place);
        match policy.as_deref() {
            Some("grace") => Some(OnDisconnect::Grace(grace.unwrap_or(GRACE))),
            Some(other) => {
                if grace_at.is_some() {
                    let message =
                        format!("`grace` has no effect with `policy: {other}`; take it out");
                    self.wrong(grace_at, message);
                }
                let cancel = other == "cancel";
                Some(if cancel { OnDisconnect::Cancel } else { OnDisconnect::Drain })
            }
            None => {
                if given.policy.0.is_none() && grace_at.is_some() {
                    self.wrong(grace_at, "`grace` needs `policy: grace` beside it");
                }
                None
            }
        }
    }
}
