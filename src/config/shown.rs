//! A config as operators may see it: everything but its secrets, and how many of those there are.
//!
//! Written out key by key, so that what is added to the config is shown only once somebody has decided that it may be.

use serde_json::{Value, json};

use super::{
    Acme, Config, Endpoint, Http, KeyLimits, Limits, OnBreak, OnDisconnect, Price, Rate, Tls, units,
};

impl Config {
    /// In JSON, for people.
    pub fn shown(&self) -> String {
        let named = |pairs: Vec<(String, Value)>| Value::Object(pairs.into_iter().collect());
        let providers = self.providers.iter().map(|it| (it.name.clone(), provider(&it.endpoint)));
        let models = self.models.iter().map(|model| (model.name.clone(), self::model(model)));
        let prices = self.prices.iter().map(|(name, it)| (name.clone(), price(it)));
        let listen = &self.listen;
        let shown = json!({
            "listen": {
                "http": listen.http.to_string(),
                "webtransport": listen.webtransport.to_string(),
                "public": {
                    "http": listen.public.http.as_ref().map(ToString::to_string),
                    "webtransport": listen.public.webtransport.as_ref().map(ToString::to_string),
                },
            },
            "tls": self.tls.as_ref().map(tls),
            "providers": named(providers.collect()),
            "models": named(models.collect()),
            "prices": named(prices.collect()),
            "channels": {
                "frame_interval": units::shown(self.channels.frame_interval),
                "retention": {
                    "after_end": units::shown(self.channels.retention.after_end),
                    "max_bytes": self.channels.retention.max_bytes,
                },
                "on_disconnect": on_disconnect(self.channels.on_disconnect),
                "sse_ids": self.channels.sse_ids,
                "keep_alive": units::shown(self.channels.keep_alive),
            },
            "store": format!("{:?}", self.store),
            "access": {
                "keys": self.access.keys.iter().map(|key| json!({
                    "name": key.name,
                    "models": key.models,
                    "name_channels": key.names_channels,
                    "on_disconnect": key.on_disconnect.map(on_disconnect),
                    "limits": key_limits(&key.limits),
                    "token_keys": key.token_keys.len(),
                })).collect::<Vec<_>>(),
                "token_secret": self.access.token_secret.is_some(),
                "admin_key": self.access.admin_key.is_some(),
                "allowed_origins": self.access.allowed_origins,
                "trusted_proxies": self.access.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            },
            "limits": limits(&self.limits),
            "telemetry": {
                "otlp": self.telemetry.otlp.as_ref().map(|it| json!({
                    "endpoint": it.endpoint,
                    "headers": it.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                    "conventions": format!("{:?}", it.conventions).to_lowercase(),
                })),
                "access_log": self.telemetry.access_log.as_ref().map(|it| json!({
                    "to": format!("{:?}", it.sink),
                    "prompts": it.prompts,
                })),
            },
        });
        serde_json::to_string_pretty(&shown).expect("a value is JSON")
    }
}

fn tls(tls: &Tls) -> Value {
    match tls {
        Tls::Files(files) => json!({ "cert": files.cert, "key": files.key }),
        Tls::Acme(Acme { domains, directory, contact, roots, http }) => json!({
            "acme": {
                "domains": domains,
                "directory": directory.origin().ascii_serialization(),
                "contact": contact,
                "roots": roots,
                "http": http.map(|it| it.to_string()),
            },
        }),
    }
}

fn provider(endpoint: &Endpoint) -> Value {
    let http = match endpoint {
        Endpoint::Simulator(it) => {
            return json!({
                "dialect": "simulator",
                "tokens_per_second": it.tokens_per_second,
                "seed": it.seed,
            });
        }
        Endpoint::Http(http) => http,
    };
    let Http { dialect, base_url, api_keys, access_key, headers, proxy, ca, breaker, .. } = &**http;
    // A query may hold a key.
    let mut base_url = base_url.clone();
    let queried = base_url.query().is_some();
    base_url.set_query(None);
    json!({
        "dialect": dialect.as_str(),
        "base_url": format!("{base_url}{}", if queried { "?…" } else { "" }),
        "api_keys": api_keys.len(),
        "forward_caller_key": http.forward_caller_key,
        "access_key": access_key.as_ref().map(|key| json!({ "region": key.region })),
        "headers": headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        "proxy": proxy.is_some(),
        "ca": ca.len(),
        "breaker": {
            "failures": breaker.failures,
            "window": units::shown(breaker.window),
            "open": units::shown(breaker.open),
        },
    })
}

fn model(model: &super::Model) -> Value {
    let targets = model.targets.iter().map(|target| {
        json!({
            "provider": target.provider,
            "model": target.model,
            "weight": target.weight,
            "max_in_flight": target.max_in_flight,
        })
    });
    let super::Timeouts { connect, first_token, idle, total, silent } = model.timeouts;
    json!({
        "targets": targets.collect::<Vec<_>>(),
        "timeouts": {
            "connect": units::shown(connect),
            "first_token": units::shown(first_token),
            "idle": units::shown(idle),
            "total": units::shown(total),
            "silent": units::shown(silent),
        },
        "on_disconnect": on_disconnect(model.on_disconnect),
        "failover": {
            "retries": model.failover.retries,
            "budget": units::shown(model.failover.budget),
        },
        "on_break": match model.failover.on_break {
            OnBreak::Fail => "fail",
            OnBreak::Continue => "continue",
        },
    })
}

fn price(price: &Price) -> Value {
    let money = |Rate(millionths): Rate| millionths as f64 / 1e6;
    json!({
        "input": money(price.input),
        "cached_input": money(price.cached_input),
        "cache_write": money(price.cache_write),
        "output": money(price.output),
        "reasoning": money(price.reasoning),
    })
}

/// `null`: there is none.
fn limits(limits: &Limits) -> Value {
    json!({
        "generations": limits.generations,
        "connections": limits.connections,
        "connections_per_address": limits.connections_per_address,
        "sessions": limits.sessions,
        "sessions_per_address": limits.sessions_per_address,
        "sessions_per_client": limits.sessions_per_client,
        "subscriptions": limits.subscriptions,
        "publishes_per_minute": limits.publishes_per_minute,
        "body": limits.body,
        "bodies": limits.bodies,
        "headers": limits.headers,
        "header_timeout": units::shown(limits.header_timeout),
        "body_timeout": units::shown(limits.body_timeout),
        "logs": limits.logs,
    })
}

fn key_limits(limits: &KeyLimits) -> Value {
    json!({
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent": limits.concurrent,
        "budget": { "day": limits.budget.day, "month": limits.budget.month },
    })
}

fn on_disconnect(policy: OnDisconnect) -> Value {
    match policy {
        OnDisconnect::Cancel => json!({ "policy": "cancel" }),
        OnDisconnect::Grace(grace) => json!({ "policy": "grace", "grace": units::shown(grace) }),
        OnDisconnect::Drain => json!({ "policy": "drain" }),
    }
}
