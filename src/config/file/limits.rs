//! The file's `limits`, for everybody and of a key, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{located::Given, schema},
    section,
};

/// The limits that hold for everybody; `none` takes one away.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// Generations that run at once; one more is refused with 503.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) generations: Given<String>,
    /// HTTP connections open at once; one more is closed.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) connections: Given<String>,
    /// The same from one address. There is none by default: behind a proxy, all come from one.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) connections_per_address: Given<String>,
    /// Sessions at once.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) sessions: Given<String>,
    /// The same from one address.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) sessions_per_address: Given<String>,
    /// The same for one client, by the name that channel tokens give it.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) sessions_per_client: Given<String>,
    /// Subscriptions from one address, and for one client, over all their sessions.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) subscriptions: Given<String>,
    /// Custom events that one client, address or key may publish in a minute.
    #[schemars(with = "schema::Count")]
    pub(in crate::config) publishes_per_minute: Given<String>,
    /// The largest body of a request.
    #[schemars(with = "schema::Size")]
    pub(in crate::config) body: Given<String>,
    /// The bodies of all requests that come, and of all generations that run, together. A call that has no room is refused
    /// with 503.
    #[schemars(with = "schema::Size")]
    pub(in crate::config) bodies: Given<String>,
    /// The largest head of a request, from 8KiB.
    #[schemars(with = "schema::Size")]
    pub(in crate::config) headers: Given<String>,
    /// How long a request's head may take, and how long a connection may be idle between two.
    #[schemars(with = "schema::Duration")]
    pub(in crate::config) header_timeout: Given<String>,
    /// How long a request's body may stand still. As a whole it must come at a kilobyte in a second at least, beyond this
    /// time.
    #[schemars(with = "schema::Duration")]
    pub(in crate::config) body_timeout: Given<String>,
    /// The memory of all channels' logs. Past it the channels that ended first are let go of before their time; if nothing
    /// that has ended is left, new generations are refused with 503.
    #[schemars(with = "schema::Size")]
    pub(in crate::config) logs: Given<String>,
}

/// The limits of an access key; without one, there is none.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct KeyLimits {
    /// Calls of LLM routes in a minute: a bucket that holds a minute's worth and fills again steadily.
    #[schemars(with = "schema::Weight")]
    pub(in crate::config) requests_per_minute: Given<String>,
    /// Tokens of input and output in a minute, the same way: estimated when a call comes, settled by what it used.
    #[schemars(with = "schema::Weight")]
    pub(in crate::config) tokens_per_minute: Given<String>,
    /// Generations that run at once.
    #[schemars(with = "schema::Weight")]
    pub(in crate::config) concurrent: Given<String>,
    /// What may be spent, by the price table.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<Budget>")]
    pub(in crate::config) budget: Budget,
}

/// Money, in the price table's currency.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Budget {
    /// In a day, UTC.
    #[schemars(with = "schema::Money")]
    pub(in crate::config) day: Given<String>,
    /// In a month, UTC.
    #[schemars(with = "schema::Money")]
    pub(in crate::config) month: Given<String>,
}
