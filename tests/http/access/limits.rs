//! A key's limits under real load: they hold, they say when to come again, and nothing leaks.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Response;
use serde_json::{Value, json};
use tokenway::config::{BudgetLimits, KeyLimits, OnDisconnect, Price, Rate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use super::{WEB, keyed_with, status};
use crate::{
    gateway::{Tokenway, asked, body, header, send, sent, stream_of},
    soon,
};

/// What the input of a call of some kilobytes is taken to have at most, in tokens: a tenth of what one reserves.
const INPUT_MAX: u64 = 5_000;

/// Whoever is refused comes again at once.
const WORKERS: usize = 8;

fn limited(limits: KeyLimits) -> impl FnOnce(&mut tokenway::config::Config) {
    move |config| config.access.keys[0].limits = limits
}

pub(super) fn short(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 20, "messages": [{ "role": "user", "content": "Hi" }] })
}

/// Runs workers that each ask again and again until `enough`; gives how long that took.
async fn hammered<F>(
    gateway: &Arc<Tokenway>,
    body: Value,
    told: F,
    enough: fn(u64) -> bool,
) -> Duration
where
    F: Fn(u16, Value) -> bool + Clone + Send + Sync + 'static,
{
    let (begun, refused) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (gateway, body, told, refused) =
            (Arc::clone(gateway), body.clone(), told.clone(), Arc::clone(&refused));
        workers.spawn(async move {
            while !enough(refused.load(Ordering::Relaxed)) {
                let response = send(gateway.chat(body.clone()).bearer_auth(WEB)).await;
                let status = response.status().as_u16();
                let said = crate::gateway::body(response).await;
                if !told(status, said) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    workers.join_all().await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_minute_hold_within_one_percent_under_load() {
    const LIMIT: u32 = 300;
    let limits = KeyLimits { requests_per_minute: NonZeroU32::new(LIMIT), ..KeyLimits::default() };
    let (gateway, _upstream) = keyed_with(limited(limits)).await;
    let gateway = Arc::new(gateway);
    let passed = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&passed);
    // A model that is not there: the call counts, and costs nothing more.
    let told = move |status, _| {
        counted.fetch_add(u64::from(status == 404), Ordering::Relaxed);
        status == 404
    };
    let took = hammered(&gateway, short("none"), told, |refused| refused >= 300).await;
    let allowed = f64::from(LIMIT) * (1.0 + took.as_secs_f64() / 60.0);
    let passed = passed.load(Ordering::Relaxed) as f64;
    println!("requests: {passed} passed of {allowed:.1} allowed, in {took:?}");
    assert!((passed - allowed).abs() <= allowed * 0.01 + 1.0, "{passed} of {allowed}");
    // The other key has limits of its own.
    assert_eq!(status(gateway.chat(short("none")).bearer_auth(super::OTHER)).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_a_minute_hold_within_one_percent_under_load() {
    const LIMIT: u64 = 6_000;
    let limits = KeyLimits { tokens_per_minute: NonZeroU64::new(LIMIT), ..KeyLimits::default() };
    let (gateway, _upstream) = keyed_with(limited(limits)).await;
    let gateway = Arc::new(gateway);
    let used = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&used);
    let told = move |status, said: Value| {
        if status == 200 {
            counted.fetch_add(
                said["usage"]["total_tokens"].as_u64().expect("usage"),
                Ordering::Relaxed,
            );
        }
        status == 200
    };
    let begun = Instant::now();
    hammered(&gateway, short("sim"), told, |refused| refused >= 100).await;
    // What the last ones reserved and did not use is there again.
    let told = send(gateway.get("/v1/models").bearer_auth(WEB)).await;
    let left: f64 =
        header(told.headers(), "x-ratelimit-remaining-tokens").parse().expect("a number");
    let took = begun.elapsed();
    let allowed = LIMIT as f64 * (1.0 + took.as_secs_f64() / 60.0);
    let used = used.load(Ordering::Relaxed) as f64;
    println!("tokens: {used} used and {left} left of {allowed:.1} allowed, in {took:?}");
    assert!(used <= allowed * 1.01, "{used} of {allowed}");
    assert!((used + left - allowed).abs() <= allowed * 0.01, "{used} and {left} of {allowed}");
    assert!(left < LIMIT as f64 / 10.0, "it was used up: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_run_at_once_and_a_place_is_free_when_one_ends() {
    let limits = KeyLimits { concurrent: NonZeroU32::new(3), ..KeyLimits::default() };
    let (gateway, upstream) = keyed_with(limited(limits)).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let call = sent(gateway.streamed().bearer_auth(WEB));
        let mut provider = upstream.call().await;
        provider.begin().await;
        running.push((stream_of(call).await, provider));
    }
    for (path, at, word) in [
        ("/v1/chat/completions", "/error/code", "rate_limit_exceeded"),
        ("/v1/messages", "/error/type", "rate_limit_error"),
        ("/v1beta/models/fast:generateContent", "/error/status", "RESOURCE_EXHAUSTED"),
    ] {
        let call = match path {
            "/v1/messages" => short("fast"),
            "/v1/chat/completions" => asked(false),
            _ => json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] }),
        };
        let response = send(gateway.post(path, call).bearer_auth(WEB)).await;
        assert_eq!(
            (response.status().as_u16(), header(response.headers(), "retry-after")),
            (429, "1"),
            "{path}"
        );
        let said = body(response).await;
        assert_eq!(said.pointer(at), Some(&json!(word)), "{path}: {said}");
        let retry = said.pointer("/error/details/1/retryDelay");
        assert_eq!(retry.is_some(), word == "RESOURCE_EXHAUSTED", "{said}");
    }
    // One that ends has made room before its app is told.
    let (mut app, provider) = running.pop().expect("three");
    provider.finish().await;
    app.rest().await;
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    stream_of(call).await;
    drop((running, provider));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_what_is_left_by_the_names_that_the_sdk_knows() {
    let limits = KeyLimits {
        requests_per_minute: NonZeroU32::new(60),
        tokens_per_minute: NonZeroU64::new(10_000),
        ..KeyLimits::default()
    };
    let (gateway, _upstream) = keyed_with(limited(limits)).await;
    let told = |response: &Response, name: &str| header(response.headers(), name).to_owned();
    let response = send(gateway.chat(short("sim")).bearer_auth(WEB)).await;
    assert_eq!(told(&response, "x-ratelimit-limit-requests"), "60");
    assert_eq!(told(&response, "x-ratelimit-remaining-requests"), "59");
    assert_eq!(told(&response, "x-ratelimit-limit-tokens"), "10000");
    let left: u64 = told(&response, "x-ratelimit-remaining-tokens").parse().expect("a number");
    let used = body(response).await["usage"]["total_tokens"].as_u64().expect("usage");
    assert!(left.abs_diff(10_000 - used) <= 100, "{left} are left after {used}");
    let response = send(gateway.post("/v1/messages", short("sim")).bearer_auth(WEB)).await;
    assert_eq!(told(&response, "anthropic-ratelimit-requests-limit"), "60");
    assert!(told(&response, "anthropic-ratelimit-tokens-reset").ends_with('Z'));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_ends_with_the_day_and_an_sdk_is_told_not_to_wait() {
    let mut same = None;
    let (gateway, _upstream) = keyed_with(|config| {
        let rate = Rate(1_000_000_000);
        let price = Price {
            input: rate,
            cached_input: rate,
            cache_write: rate,
            output: rate,
            reasoning: rate,
        };
        config.prices.push(("sim".to_owned(), price));
        config.access.keys[0].limits.budget = BudgetLimits { day: Some(0.5), month: None };
        same = Some(config.clone());
    })
    .await;
    // A thousand for a million: each token costs a thousandth.
    let mut spent = 0.0;
    let refused = loop {
        let response = send(gateway.chat(short("sim")).bearer_auth(WEB)).await;
        if response.status() != 200 {
            break response;
        }
        spent += body(response).await["usage"]["total_tokens"].as_f64().expect("usage") / 1_000.0;
        assert!(spent <= 0.5, "{spent} was spent");
    };
    assert!(spent > 0.4, "{spent} was spent, and one more would have gone");
    assert_eq!(
        (refused.status().as_u16(), header(refused.headers(), "x-should-retry")),
        (429, "false")
    );
    let wait: u64 = header(refused.headers(), "retry-after").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    let error = body(refused).await["error"].clone();
    assert_eq!(error["code"], "budget_exceeded", "{error}");
    assert_eq!(super::refusals(&gateway, "budget.day").await, 1);
    assert_eq!(status(gateway.chat(short("sim")).bearer_auth(super::OTHER)).await, 200);
    // Nor does a restart bring a new day.
    let gateway = gateway.again(same.expect("a config")).await;
    assert_eq!(status(gateway.chat(short("sim")).bearer_auth(WEB)).await, 429);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_holds_when_all_come_at_once_and_ask_for_several_answers() {
    const ANSWERS: usize = 4;
    let (gateway, upstream) = keyed_with(|config| {
        config.prices.push(super::paid::priced("fast"));
        config.access.keys[0].limits.budget = BudgetLimits { day: Some(1.0), month: None };
    })
    .await;
    // 4 answers of 50 tokens and a short text: a bit over 0.2 each, so that four go and a fifth does not.
    let call = json!({ "model": "fast", "max_tokens": 50, "n": ANSWERS,
                       "messages": [{ "role": "user", "content": "Hi" }] });
    let calls: Vec<_> =
        (0..12).map(|_| sent(gateway.chat(call.clone()).bearer_auth(WEB))).collect();
    let usage =
        json!({ "prompt_tokens": 4, "completion_tokens": 50 * ANSWERS, "total_tokens": 204 });
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": "Hi" }, "finish_reason": "stop" });
    let answer =
        json!({ "id": "c", "object": "chat.completion", "choices": [choice], "usage": usage });
    for _ in 0..4 {
        let provider = upstream.call().await;
        provider.answer("200 OK", "content-type: application/json\r\n", &answer.to_string()).await;
    }
    let mut told = Vec::new();
    for call in calls {
        told.push(call.await.expect("an answer").status().as_u16());
    }
    told.sort_unstable();
    assert_eq!(told, [[200; 4].as_slice(), &[429; 8]].concat());
    assert_eq!(
        status(gateway.chat(call).bearer_auth(WEB)).await,
        429,
        "and what was spent stays so"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_aborted_requests_leak_nothing() {
    const ABORTED: u64 = 10_000;
    const PLACES: u32 = 6;
    // A budget does not fill again while the test runs, as a rate does: what is not given back is missing at the end. Each
    // token costs a thousandth, so that each call reserves fifty.
    const BUDGET: f64 = 5_000.0;
    const BODIES: usize = 16 << 10;
    let (gateway, _upstream) = keyed_with(|config| {
        config.prices.push(super::paid::priced("sim"));
        let key = &mut config.access.keys[0];
        key.on_disconnect = Some(OnDisconnect::Cancel);
        key.limits = KeyLimits {
            concurrent: NonZeroU32::new(PLACES),
            tokens_per_minute: NonZeroU64::new(1_000_000),
            budget: BudgetLimits { day: None, month: Some(BUDGET) },
            ..KeyLimits::default()
        };
        config.limits.generations = NonZeroU32::new(PLACES);
        config.limits.bodies = BODIES;
    })
    .await;
    let call = |max_tokens: u64| {
        json!({ "model": "sim", "stream": true, "max_tokens": max_tokens,
                "messages": [{ "role": "user", "content": "Hi" }] })
        .to_string()
    };
    let aborted = call(50_000);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {WEB}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{aborted}",
        aborted.len()
    );
    let (request, left) = (Arc::new(request), Arc::new(AtomicU64::new(ABORTED)));
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS as u64 {
        let (request, left, addr) = (Arc::clone(&request), Arc::clone(&left), gateway.addr);
        let mut random = StdRng::seed_from_u64(seed ^ worker);
        workers.spawn(async move {
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let mut stream = TcpStream::connect(addr).await.expect("the gateway accepts");
                // Anywhere within it; every other one whole, and some of those read a little.
                let whole = random.random_bool(0.5);
                let until =
                    if whole { request.len() } else { random.random_range(0..request.len()) };
                let _ = stream.write_all(&request.as_bytes()[..until]).await;
                if whole && random.random_bool(0.3) {
                    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await;
                }
                if random.random_bool(0.5) {
                    let _ = stream.set_zero_linger();
                }
            }
        });
    }
    workers.join_all().await;
    // Every place is free again, and every token but those that were used.
    soon("all places are free", async {
        loop {
            let calls = (0..PLACES).map(|_| gateway.chat(short("sim")).bearer_auth(WEB));
            let calls: Vec<_> = calls.map(sent).collect();
            let mut free = 0;
            for call in calls {
                free += u32::from(call.await.expect("an answer").status() == 200);
            }
            if free == PLACES {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    soon("nothing runs", async {
        while super::figure(&gateway, "tokenway_generations_running").await > 0.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let cost = r#"tokenway_cost_total{model="sim",provider="sim"}"#;
    let spent = super::figure(&gateway, cost).await;
    let begun = super::figure(&gateway, r#"tokenway_generations_started_total{model="sim"}"#).await;
    println!("{begun} generations were begun, and {spent} of {BUDGET} were spent");
    assert!(begun >= ABORTED as f64 / 10.0, "most of what came whole was refused: {begun}");
    assert_eq!(super::refusals(&gateway, "budget.month").await, 0, "no call was refused for it");
    // One call may take all that is left of the budget, and of the memory for bodies all that is this key's.
    let all = call(((BUDGET - spent) * 1_000.0) as u64 - INPUT_MAX);
    let all = format!("{all:BODIES_OF_ONE$}", BODIES_OF_ONE = BODIES / 2);
    soon("one call gets all there is", async {
        loop {
            let response = send(gateway.post("/v1/chat/completions", &all).bearer_auth(WEB)).await;
            if response.status() == 200 {
                break;
            }
            let refused = body(response).await;
            println!("not yet: {}", refused["error"]["message"]);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    gateway.stop().await;
}
