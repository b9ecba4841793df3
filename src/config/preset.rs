//! Configs without a file: the defaults, and the demo's.

use std::time::Duration;

use super::{
    Access, Channels, Config, Endpoint, Failover, Limits, Listen, Model, OnDisconnect, Provider,
    Simulator, Store, Target, Telemetry, Timeouts,
};

/// The demo's models by their public names, and the simulator's models behind them.
pub const DEMO_MODELS: [(&str, &str); 11] = [
    ("chat", "sim-text"),
    ("reasoner", "sim-reasoning"),
    ("tools", "sim-tools"),
    ("polyglot", "sim-languages"),
    ("novel", "sim-long"),
    ("slow-start", "sim-slow-start"),
    ("fails-at-once", "sim-error-first"),
    ("fails-midway", "sim-error-middle"),
    ("cut", "sim-cut"),
    ("reset", "sim-reset"),
    ("stall", "sim-stall"),
];

/// Nobody who watches a demo waits five minutes for a timeout.
const DEMO_STALL_IDLE: Duration = Duration::from_secs(10);

/// Pages that are being developed on this machine: behind the demo is nothing that a page could take.
const DEMO_ORIGINS: [&str; 2] = ["http://localhost:*", "http://127.0.0.1:*"];

impl Config {
    /// The simulator, and a model for each thing it can show.
    pub fn demo() -> Self {
        let simulator = Endpoint::Simulator(Simulator::default());
        let mut config = without_file();
        config.providers = vec![Provider { name: "simulator".to_owned(), endpoint: simulator }];
        config.models = DEMO_MODELS
            .iter()
            .map(|(name, upstream)| model(name, "simulator", Some((*upstream).to_owned())))
            .collect();
        for stall in config.models.iter_mut().filter(|model| model.name == "stall") {
            stall.timeouts.idle = DEMO_STALL_IDLE;
        }
        config.access.allowed_origins = DEMO_ORIGINS.map(str::to_owned).into();
        config
    }
}

/// The defaults, with no provider and no model yet.
pub(super) fn without_file() -> Config {
    Config {
        listen: Listen::default(),
        tls: None,
        providers: Vec::new(),
        models: Vec::new(),
        prices: Vec::new(),
        channels: Channels::default(),
        store: Store::default(),
        limits: Limits::default(),
        access: Access::default(),
        telemetry: Telemetry::default(),
        notes: Vec::new(),
    }
}

pub(super) fn model(name: &str, provider: &str, upstream: Option<String>) -> Model {
    Model {
        name: name.to_owned(),
        targets: vec![Target {
            provider: provider.to_owned(),
            model: upstream,
            weight: None,
            max_in_flight: None,
        }],
        timeouts: Timeouts::default(),
        on_disconnect: OnDisconnect::default(),
        failover: Failover::default(),
    }
}
