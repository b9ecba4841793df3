//! Limits at the HTTP door: what a call is expected to take, on whose account it runs, and how answers tell what is left.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts},
};
use time::OffsetDateTime;

use super::{App, access::Caller, call::Call, problem::Problem};
use crate::{
    access::{
        self, Asked, BodyRoom, Exceeded, NoSeat, Place, Refusal, Running, Seat, Standing, Turn,
        Who, Window,
    },
    clock,
    dialect::AppDialect,
    event::Usage,
    generation::{Account, estimated_input},
    route::Price,
};

/// What an answer is taken to have where its app gives no bound: more than most, less than models could.
const OUTPUT_TOKENS: u64 = 1_024;

/// How soon to ask again where the whole gateway is full, in seconds.
const ASK_AGAIN_S: u64 = 1;

/// Who is connected: put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where a request comes from: the peer's address, or the one that a trusted proxy gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote(pub(super) IpAddr);

impl FromRequestParts<App> for Remote {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        let peer = parts.extensions.get().map_or(nowhere, |Peer(peer)| peer.ip());
        let forwarded_for = parts.headers.get_all("x-forwarded-for").iter();
        let forwarded_for = forwarded_for.filter_map(|value| value.to_str().ok());
        Ok(Self(app.access.client_address(peer, forwarded_for)))
    }
}

/// A generation's place among all that run, and on its key's account.
struct OnAccount {
    running: Option<Running>,
    _turn: Turn,
    _body_room: Option<Arc<BodyRoom>>,
}

impl Account for OnAccount {
    fn used(&mut self, usage: &Usage, cost: f64) {
        if let Some(running) = &mut self.running {
            let tokens = usage.input.saturating_add(usage.output);
            running.used(Asked { tokens, cost });
        }
    }
}

/// Finds a place for a generation, or says why there is none now.
pub(super) fn open(app: &App, caller: &Caller, call: &Call) -> Result<Box<dyn Account>, Problem> {
    if app.channels.are_full() {
        Refusal::Overloaded.count(&app.telemetry.metrics);
        return Err(full(
            "the channels' logs take all the memory that they may (limits.logs); try again soon",
        ));
    }
    let turn = turn(app)?;
    let running = caller.who.access_key().map(|key| {
        let unpriced = call.unpriced().filter(|_| key.meter.needs_prices());
        if let Some(target) = unpriced {
            return Err(self::unpriced(Some(target)));
        }
        let asked = expected(call, key.meter.needs_estimate());
        begin(app, key, asked)
    });
    let running = running.transpose()?;
    Ok(Box::new(OnAccount { running, _turn: turn, _body_room: call.body_room.clone() }))
}

/// A place among all that run.
pub(super) fn turn(app: &App) -> Result<Turn, Problem> {
    let full = || full("as many generations run as may (limits.generations); try again soon");
    app.seats.generation().ok_or_else(full)
}

/// A place on a key's account.
pub(super) fn begin(app: &App, key: &access::Key, asked: Asked) -> Result<Running, Problem> {
    key.meter.begin(asked).map_err(|exceeded| exceeded_at(app, &exceeded))
}

/// The gateway as a whole is full.
pub(super) fn full(message: &str) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
    Problem { retry_after: Some(ASK_AGAIN_S), ..problem }
}

/// A viewer's seats among all sessions, until it is dropped.
pub(super) struct Viewing {
    _places: Vec<Place>,
    _seats: Vec<Seat>,
}

/// Finds a seat for somebody who looks on by HTTP, which is a session with one subscription.
pub(super) fn view(app: &App, caller: &Caller, from: Remote) -> Result<Viewing, Problem> {
    let seated = || {
        let mut seats = vec![app.seats.session(from.0, caller.who.app())?];
        if let access::Caller::Token(grant) = &caller.who
            && let Some(client) = &grant.client
        {
            seats.push(app.seats.client(&grant.owner, client)?);
        }
        let places = seats.iter().map(Seat::subscribe).collect::<Result<_, _>>()?;
        Ok(Viewing { _places: places, _seats: seats })
    };
    seated().map_err(|full: NoSeat| {
        let status = match full {
            NoSeat::Sessions => StatusCode::SERVICE_UNAVAILABLE,
            NoSeat::Address | NoSeat::Client | NoSeat::Subscriptions => {
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        Problem { retry_after: Some(ASK_AGAIN_S), ..Problem::new(status, "limit", full.as_str()) }
    })
}

/// Counts a request on its key's account.
pub(super) fn request(app: &App, caller: &Caller) -> Result<(), Problem> {
    let Some(key) = caller.who.access_key() else { return Ok(()) };
    key.meter.request().map_err(|exceeded| exceeded_at(app, &exceeded))
}

/// Counts an event that the caller publishes.
pub(super) fn publish(app: &App, caller: &Caller, from: Remote) -> Result<(), Problem> {
    let who = match &caller.who {
        access::Caller::Key(key) => Who::Key(key.owner.clone()),
        access::Caller::Token(grant) => match &grant.client {
            Some(client) => Who::Client(grant.owner.clone(), client.clone()),
            None => Who::Address(from.0),
        },
        access::Caller::Anybody => Who::Address(from.0),
    };
    app.seats.publish(&who).map_err(|wait| {
        let message = "events are published too often (limits.publishes_per_minute)";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
        Problem { retry_after: Some(clock::whole_seconds(wait).max(1)), ..problem }
    })
}

/// A key with a budget asks for what has no price: nobody could say when the budget is used up.
pub(super) fn unpriced(target: Option<(&str, &str)>) -> Problem {
    let what = match target {
        Some((provider, model)) => format!("`{provider}/{model}` has no price"),
        None => "what is asked for has no price".to_owned(),
    };
    let message = format!(
        "this access key has a budget, and {what}; the gateway's operator writes it under `prices`, 0 where it is nothing"
    );
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message).about("model")
}

fn exceeded_at(app: &App, exceeded: &Exceeded) -> Problem {
    Refusal::Limited(exceeded.limited).count(&app.telemetry.metrics);
    let code = match exceeded.limited.is_brief() {
        true => "rate_limit_exceeded",
        false => "budget_exceeded",
    };
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, exceeded.to_string());
    Problem { retry_after: Some(exceeded.retry_after()), ..problem }
}

/// What a call is expected to take: its text, and as much of each answer as it allows, where that costs most.
fn expected(call: &Call, needed: bool) -> Asked {
    if !needed {
        return Asked::default();
    }
    let input = estimated_input(call.body());
    // One that cannot be read here is refused where it goes, or carried as it is.
    let read = call.request.call().ok();
    let max = read.as_ref().and_then(|call| call.max_output).unwrap_or(OUTPUT_TOKENS);
    let choices = read.and_then(|call| call.choices).unwrap_or(1).max(1);
    let output = max.saturating_mul(choices.into());
    let read = Usage { input, output, ..Usage::default() };
    // What the provider keeps for the next call may be dearer.
    let kept = Usage { cache_write: input, ..read.clone() };
    let cost = |price: Price| price.cost(&read).max(price.cost(&kept));
    let cost = call.prices().map(cost).fold(0.0, f64::max);
    Asked { tokens: input.saturating_add(output), cost }
}

/// Tells an app how its key stands, by the names that its SDK knows. Google's knows none.
pub(super) fn tell(headers: &mut HeaderMap, dialect: AppDialect, standing: &Standing) {
    let windows = [("requests", standing.requests), ("tokens", standing.tokens)];
    for (what, window) in windows {
        let Some(Window { limit, left, full_in }) = window else { continue };
        let mut set = |name: String, value: String| {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        };
        match dialect {
            AppDialect::OpenAi | AppDialect::Responses => {
                set(format!("x-ratelimit-limit-{what}"), limit.to_string());
                set(format!("x-ratelimit-remaining-{what}"), left.to_string());
                set(format!("x-ratelimit-reset-{what}"), by_go(full_in));
            }
            AppDialect::Anthropic => {
                set(format!("anthropic-ratelimit-{what}-limit"), limit.to_string());
                set(format!("anthropic-ratelimit-{what}-remaining"), left.to_string());
                set(format!("anthropic-ratelimit-{what}-reset"), at(full_in));
            }
            AppDialect::Gemini => {}
        }
    }
}

/// The names of all that is told.
pub(super) fn told() -> impl Iterator<Item = HeaderName> {
    [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ]
    .into_iter()
    .map(HeaderName::from_static)
}

/// As OpenAI writes durations: `6m0s`, `1s`, `20ms`.
fn by_go(duration: Duration) -> String {
    let millis = duration.as_millis();
    match (millis / 60_000, millis % 60_000) {
        (0, under) if under < 1_000 => format!("{under}ms"),
        (0, under) => format!("{}s", under.div_ceil(1_000)),
        (minutes, under) => format!("{minutes}m{}s", under / 1_000),
    }
}

/// The time of day after a duration, as Anthropic writes times (RFC 3339).
fn at(duration: Duration) -> String {
    let seconds = (clock::now_ms() / 1_000) as i64 + clock::whole_seconds(duration).max(1) as i64;
    let time = OffsetDateTime::from_unix_timestamp(seconds);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_is_told_by_its_own_names() {
        let window = Window { limit: 60, left: 12, full_in: Duration::from_millis(48_000) };
        let standing = Standing { requests: Some(window), tokens: Some(window) };
        let told = |dialect| {
            let mut headers = HeaderMap::new();
            tell(&mut headers, dialect, &standing);
            headers
        };
        let openai = told(AppDialect::OpenAi);
        assert_eq!(openai["x-ratelimit-limit-requests"], "60");
        assert_eq!(openai["x-ratelimit-remaining-requests"], "12");
        assert_eq!(openai["x-ratelimit-reset-requests"], "48s");
        let exposed: Vec<_> = super::told().collect();
        for names in [openai.keys(), told(AppDialect::Anthropic).keys()] {
            names.for_each(|name| assert!(exposed.contains(name), "{name}"));
        }
        let anthropic = told(AppDialect::Anthropic);
        assert_eq!(anthropic["anthropic-ratelimit-requests-remaining"], "12");
        let reset = anthropic["anthropic-ratelimit-requests-reset"].to_str().expect("text");
        assert!(reset.starts_with("20") && reset.ends_with('Z') && reset.len() == 20, "{reset}");
        assert!(told(AppDialect::Gemini).is_empty());
        for (millis, text) in [(0, "0ms"), (999, "999ms"), (1_001, "2s"), (360_000, "6m0s")] {
            assert_eq!(by_go(Duration::from_millis(millis)), text);
        }
    }
}
