//! What the config says of limits. Plain values; who holds to them is `access`'s and the doors'.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

/// A node's worth; each takes about 100 KiB with what it says.
pub const GENERATIONS: u32 = 10_000;
/// What one process has descriptors for on most machines, once they are raised.
pub const CONNECTIONS: u32 = 20_000;
/// The same for sessions.
pub const SESSIONS: u32 = 20_000;
/// An office behind one address fits; a thousand tabs of one person do not.
pub const SESSIONS_PER_ADDRESS: u32 = 2_000;
/// Every tab and device of one person.
pub const SESSIONS_PER_CLIENT: u32 = 100;
/// Ten sessions that are full.
pub const SUBSCRIPTIONS: u32 = 10_240;
/// A hundred in a second, for as long as anybody can type.
pub const PUBLISHES_PER_MINUTE: u32 = 6_000;
/// A conversation with images.
pub const BODY: usize = 64 << 20;
/// Eight of the largest, or some ten thousand usual ones.
pub const BODIES: usize = 512 << 20;
/// Far more than any SDK sends.
pub const HEADERS: usize = 64 << 10;
/// What the HTTP library can do with at least.
pub const HEADERS_MIN: usize = 8 << 10;
/// Longer than load balancers keep an idle connection (60 s is usual): else they would send into one that has just closed.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// A slow uplink still sends something.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A quarter of a small server.
pub const LOGS: usize = 1 << 30;

/// The limits of one access key. `None`: there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyLimits {
    /// Calls of LLM routes in a minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens of input and output in a minute.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Generations that run at once.
    pub concurrent: Option<NonZeroU32>,
    /// What may be spent.
    pub budget: BudgetLimits,
}

impl KeyLimits {
    /// Whether what a call costs matters.
    pub fn needs_prices(&self) -> bool {
        self.budget != BudgetLimits::default()
    }

    /// Whether what a call will take has to be estimated.
    pub fn needs_estimate(&self) -> bool {
        self.tokens_per_minute.is_some() || self.needs_prices()
    }
}

/// Money by the price table, in its currency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetLimits {
    /// In a day, UTC.
    pub day: Option<f64>,
    /// In a month, UTC.
    pub month: Option<f64>,
}

/// The limits that hold for everybody. `None`: there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Generations that run at once.
    pub generations: Option<NonZeroU32>,
    /// HTTP connections open at once.
    pub connections: Option<NonZeroU32>,
    /// Of one address.
    pub connections_per_address: Option<NonZeroU32>,
    /// Sessions at once.
    pub sessions: Option<NonZeroU32>,
    /// From one address.
    pub sessions_per_address: Option<NonZeroU32>,
    /// For one client, by the name that tokens give it.
    pub sessions_per_client: Option<NonZeroU32>,
    /// Subscriptions from one address, and for one client, over all their sessions.
    pub subscriptions: Option<NonZeroU32>,
    /// Custom events that one client, address or key may publish in a minute.
    pub publishes_per_minute: Option<NonZeroU32>,
    /// The largest body, in bytes.
    pub body: usize,
    /// All bodies that are held at once, in bytes: of calls that come, and of generations that run.
    pub bodies: usize,
    /// The largest head of a request, in bytes.
    pub headers: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may stand still.
    pub body_timeout: Duration,
    /// The memory of all channels' logs, in bytes.
    pub logs: usize,
}

impl Limits {
    /// The same, with what another one says of connections.
    pub fn with_connections_of(&self, other: &Self) -> Self {
        let Self { connections, connections_per_address, headers, header_timeout, .. } = *other;
        Self { connections, connections_per_address, headers, header_timeout, ..self.clone() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            generations: NonZeroU32::new(GENERATIONS),
            connections: NonZeroU32::new(CONNECTIONS),
            connections_per_address: None,
            sessions: NonZeroU32::new(SESSIONS),
            sessions_per_address: NonZeroU32::new(SESSIONS_PER_ADDRESS),
            sessions_per_client: NonZeroU32::new(SESSIONS_PER_CLIENT),
            subscriptions: NonZeroU32::new(SUBSCRIPTIONS),
            publishes_per_minute: NonZeroU32::new(PUBLISHES_PER_MINUTE),
            body: BODY,
            bodies: BODIES,
            headers: HEADERS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            logs: LOGS,
        }
    }
}
