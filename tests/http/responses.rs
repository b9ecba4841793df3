//! A response is there under its id, whoever answers: told again from any number, as it stands, stopped, forgotten.

mod provider;
mod turns;

use provider::{DIALECTS, Provider, THEIRS, WHOLE, before, check_tail, is_last, number, text};
use serde_json::{Value, json};

use crate::{
    gateway::{Tokenway, body, header, refusal, send, sent, stream_of},
    soon,
    sse::{Item, Sse},
    upstream::Upstream,
};

fn ask(model: &str, more: Value) -> Value {
    let mut ask = json!({ "model": model, "input": "Hi" });
    ask.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    ask
}

async fn back(gateway: &Tokenway, id: &str, after: Option<u64>) -> Sse {
    let after = after.map(|after| format!("&starting_after={after}")).unwrap_or_default();
    // What OpenAI's SDKs may send along.
    let more = "include[]=reasoning.encrypted_content&include[]=x&include_obfuscation=false";
    let path = format!("/v1/responses/{id}?stream=true&{more}{after}");
    Sse::of(send(gateway.get(&path)).await)
}

async fn retrieved(gateway: &Tokenway, id: &str) -> Value {
    let response = send(gateway.get(&format!("/v1/responses/{id}"))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "content-type"), "application/json");
    body(response).await
}

async fn when(gateway: &Tokenway, id: &str, status: &str) -> Value {
    soon("the response is as it should be", async {
        loop {
            let response = retrieved(gateway, id).await;
            if response["status"] == status {
                return response;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
}

fn says(delta: &'static str) -> impl Fn(&Item) -> bool {
    move |item| {
        item.event == "response.output_text.delta" && item.json()["delta"].as_str() == Some(delta)
    }
}

/// An app that is killed twice reads on: its payloads, the response's id, and how many of them were from before it was
/// first killed.
async fn killed_twice(
    gateway: &Tokenway,
    upstream: &Upstream,
    dialect: &'static str,
) -> (Vec<Item>, String, u64) {
    let call = sent(gateway.post("/v1/responses", ask(dialect, json!({ "stream": true }))));
    let mut provider = Provider::begin(dialect, upstream.call().await).await;
    provider.word(0).await;
    provider.word(1).await;
    let mut app = stream_of(call).await;
    let mut items = app.until(says("two ")).await;
    drop(app);
    let id = items[0].json()["response"]["id"].as_str().expect("an id").to_owned();
    let killed_at = number(items.last().expect("payloads"));
    let standing = retrieved(gateway, &id).await;
    assert_eq!((&standing["status"], &standing["id"]), (&json!("in_progress"), &json!(id)));
    assert_eq!(standing["output"][0]["content"][0]["text"], "one two ");
    // Back while it runs, with everything had; and killed again.
    let mut app = back(gateway, &id, Some(killed_at)).await;
    provider.word(2).await;
    items.extend(app.until(says("three ")).await);
    drop(app);
    let mut app = back(gateway, &id, Some(number(items.last().expect("payloads")))).await;
    provider.word(3).await;
    provider.finish().await;
    items.extend(app.rest().await);
    (items, id, killed_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_app_reads_on_from_any_number_whoever_answers() {
    let (gateway, upstreams) = before(&DIALECTS, "").await;
    for (dialect, upstream) in DIALECTS.into_iter().zip(&upstreams) {
        let (items, id, killed_at) = killed_twice(&gateway, upstream, dialect).await;
        check_tail(dialect, None, &items);
        assert_eq!(text(&items), WHOLE, "{dialect}");
        assert_eq!(id == THEIRS, dialect == "responses", "{dialect}: {id}");
        let last = items.last().expect("payloads");
        assert_eq!(last.json()["response"]["id"], id, "{dialect}");
        // The last number first: to go back behind the first killing changes what the numbers behind it mean, where
        // they were the provider's.
        for after in (0..items.len() as u64).rev() {
            let at = usize::try_from(after).expect("small") + 1;
            let what = format!("{dialect} after {after}");
            let rest = back(&gateway, &id, Some(after)).await.rest().await;
            if dialect != "responses" || after >= killed_at {
                assert_eq!(rest, items[at..], "{what}");
                continue;
            }
            check_tail(&what, Some(after), &rest);
            assert_eq!(text(&items[..at]) + &text(&rest), WHOLE, "{what}");
        }
        let all = back(&gateway, &id, None).await.rest().await;
        check_tail(dialect, None, &all);
        assert_eq!(text(&all), WHOLE, "{dialect}");
        let standing = retrieved(&gateway, &id).await;
        assert_eq!((&standing["status"], &standing["id"]), (&json!("completed"), &json!(id)));
        assert_eq!(standing["output"][0]["content"][0]["text"], WHOLE);
        assert_eq!(standing["usage"]["total_tokens"], 13, "{dialect}: {standing}");
        assert_eq!(standing, all.last().expect("payloads").json()["response"], "{dialect}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_reads_on_from_where_it_was_killed_at_every_single_payload() {
    // Each time anew, because what follows the provider's numbers is counted from where the app came back first.
    let (gateway, upstreams) = before(&["responses"], "").await;
    for killed_at in 0..8 {
        let call = sent(gateway.post("/v1/responses", ask("responses", json!({ "stream": true }))));
        let mut provider = Provider::begin("responses", upstreams[0].call().await).await;
        for word in 0..4 {
            provider.word(word).await;
        }
        let mut app = stream_of(call).await;
        let channel = header(&app.headers, "tokenway-generation").to_owned();
        let mut items = app.until(|item| number(item) == killed_at).await;
        drop(app);
        let id = format!("resp_{}", channel.strip_prefix("gen_").expect("an id of ours"));
        let mut app = back(&gateway, &id, Some(killed_at)).await;
        provider.finish().await;
        let rest = app.rest().await;
        check_tail("live", Some(killed_at), &rest);
        // And again from within what came then.
        for (at, item) in rest.iter().enumerate() {
            let again = back(&gateway, &id, Some(number(item))).await.rest().await;
            assert_eq!(again, rest[at + 1..], "{killed_at}, then {}", number(item));
        }
        items.extend(rest);
        assert_eq!(text(&items), WHOLE, "{killed_at}");
        assert!(
            send(gateway.http.delete(gateway.url(&format!("/v1/responses/{id}")))).await.status()
                == 200
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_none_or_not_yet_said_is_refused() {
    let (gateway, upstreams) = before(&["responses", "anthropic"], "").await;
    for (dialect, upstream) in [("responses", &upstreams[0]), ("anthropic", &upstreams[1])] {
        let call = sent(gateway.post("/v1/responses", ask(dialect, json!({ "stream": true }))));
        let mut provider = Provider::begin(dialect, upstream.call().await).await;
        provider.word(0).await;
        let mut app = stream_of(call).await;
        let items = app.until(says("one ")).await;
        let id = items[0].json()["response"]["id"].as_str().expect("an id").to_owned();
        for after in ["x", "-1", "1.5", "", "5", "18446744073709551615"] {
            let path = format!("/v1/responses/{id}?stream=true&starting_after={after}");
            let (status, said) = refusal(gateway.get(&path)).await;
            assert_eq!(status, 400, "{after}: {said}");
            assert_eq!(said["error"]["param"], "starting_after", "{after}");
            assert_eq!(said["error"]["type"], "invalid_request_error", "{after}");
        }
        let (status, _) = refusal(gateway.get(&format!("/v1/responses/{id}?stream=perhaps"))).await;
        assert_eq!(status, 400);
        // None of that has hurt whoever reads.
        provider.word(1).await;
        app.until(says("two ")).await;
        provider.finish().await;
        assert!(is_last(app.rest().await.last().expect("payloads")));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_in_the_background_is_polled_and_nobody_need_be_there() {
    let (gateway, upstreams) =
        before(&DIALECTS, "channels: { on_disconnect: { policy: cancel } }\n").await;
    for (dialect, upstream) in DIALECTS.into_iter().zip(&upstreams) {
        let more = json!({ "background": true, "metadata": { "a": "b" } });
        let response = send(gateway.post("/v1/responses", ask(dialect, more))).await;
        assert_eq!(response.status(), 200);
        let queued = body(response).await;
        assert_eq!(queued["status"], "queued");
        assert_eq!((&queued["background"], &queued["metadata"]["a"]), (&json!(true), &json!("b")));
        let id = queued["id"].as_str().expect("an id");
        let call = upstream.call().await;
        assert!(!call.text().contains(r#""background":true"#), "{}", call.text());
        let mut provider = Provider::begin(dialect, call).await;
        provider.word(0).await;
        let running = when(&gateway, id, "in_progress").await;
        assert_eq!((&running["id"], &running["background"]), (&json!(id), &json!(true)));
        for word in 1..4 {
            provider.word(word).await;
        }
        provider.finish().await;
        let done = when(&gateway, id, "completed").await;
        assert_eq!(done["output"][0]["content"][0]["text"], WHOLE, "{dialect}");
        let cancelled =
            body(send(gateway.post(&format!("/v1/responses/{id}/cancel"), "")).await).await;
        assert_eq!(cancelled, done, "it had ended");
        let items = back(&gateway, id, None).await.rest().await;
        check_tail(dialect, None, &items);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_the_background_goes_on_when_its_app_is_gone() {
    let (gateway, upstreams) =
        before(&DIALECTS, "channels: { on_disconnect: { policy: cancel } }\n").await;
    for (dialect, upstream) in DIALECTS.into_iter().zip(&upstreams) {
        let more = json!({ "background": true, "stream": true });
        let call = sent(gateway.post("/v1/responses", ask(dialect, more)));
        let mut provider = Provider::begin(dialect, upstream.call().await).await;
        provider.word(0).await;
        let mut app = stream_of(call).await;
        let items = app.until(says("one ")).await;
        drop(app);
        for word in 1..4 {
            provider.word(word).await;
        }
        provider.finish().await;
        let id = items[0].json()["response"]["id"].as_str().expect("an id").to_owned();
        let done = when(&gateway, &id, "completed").await;
        assert_eq!(done["output"][0]["content"][0]["text"], WHOLE, "{dialect}");
    }
    // What wants to be told only where it will be found is told that.
    let request = gateway.post("/v1/responses", ask("openai", json!({ "background": true })));
    let response = send(request.header("prefer", "respond-async")).await;
    assert_eq!(response.status(), 202);
    let accepted = body(response).await;
    let generation = accepted["generation"].as_str().expect("a generation");
    Provider::say_all("openai", upstreams[1].call().await).await;
    let id = format!("resp_{}", generation.strip_prefix("gen_").expect("an id of ours"));
    when(&gateway, &id, "completed").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_it_once_and_every_reader_is_told() {
    let (gateway, upstreams) = before(&DIALECTS, "").await;
    for (dialect, upstream) in DIALECTS.into_iter().zip(&upstreams) {
        let call = sent(gateway.post("/v1/responses", ask(dialect, json!({ "stream": true }))));
        let mut provider = Provider::begin(dialect, upstream.call().await).await;
        provider.word(0).await;
        let mut app = stream_of(call).await;
        let mut items = app.until(says("one ")).await;
        let id = items[0].json()["response"]["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/responses/{id}/cancel");
        let cancelled = body(send(gateway.http.post(gateway.url(&path))).await).await;
        assert_eq!(cancelled["status"], "cancelled", "{dialect}: {cancelled}");
        assert_eq!(cancelled["output"][0]["content"][0]["text"], "one ");
        provider.closed().await;
        items.extend(app.rest().await);
        check_tail(dialect, None, &items);
        assert_eq!(body(send(gateway.post(&path, "{}")).await).await, cancelled, "{dialect}");
        assert_eq!(retrieved(&gateway, &id).await, cancelled, "{dialect}");
        let last = back(&gateway, &id, Some(3)).await.rest().await;
        assert_eq!(last.last().expect("payloads").event, "response.failed");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_or_never_was_is_not_found_unless_a_provider_may_know_it() {
    let (gateway, upstreams) = before(&["anthropic", "gemini"], "").await;
    let call = sent(gateway.post("/v1/responses", ask("gemini", json!({ "background": true }))));
    let mut provider = Provider::begin("gemini", upstreams[1].call().await).await;
    provider.word(0).await;
    let id = body(call.await.expect("a response")).await["id"].as_str().expect("an id").to_owned();
    let deleted = send(gateway.http.delete(gateway.url(&format!("/v1/responses/{id}")))).await;
    let expected = json!({ "id": id, "object": "response", "deleted": true });
    assert_eq!(body(deleted).await, expected);
    provider.closed().await;
    for path in [format!("/v1/responses/{id}"), "/v1/responses/resp_none".to_owned()] {
        for request in [
            gateway.get(&path),
            gateway.get(&format!("{path}?stream=true")),
            gateway.get(&format!("{path}/input_items")),
            gateway.post(&format!("{path}/cancel"), ""),
            gateway.http.delete(gateway.url(&path)),
        ] {
            let (status, said) = refusal(request).await;
            assert_eq!(status, 404, "{path}: {said}");
            assert_eq!(said["error"]["type"], "invalid_request_error", "{path}: {said}");
            assert!(said["error"]["message"].as_str().is_some_and(|it| it.contains("not found")));
        }
    }
    gateway.stop().await;
    let (gateway, upstreams) = before(&["anthropic", "responses"], "").await;
    for (request, line) in [
        (
            gateway.get("/v1/responses/resp_1?stream=true"),
            "GET /v1/responses/resp_1?stream=true HTTP/1.1",
        ),
        (
            gateway.post("/v1/responses/resp_1/cancel", ""),
            "POST /v1/responses/resp_1/cancel HTTP/1.1",
        ),
        (
            gateway.http.delete(gateway.url("/v1/responses/resp_1")),
            "DELETE /v1/responses/resp_1 HTTP/1.1",
        ),
    ] {
        let call = sent(request);
        let passed = upstreams[1].call().await;
        assert_eq!(passed.line(), line);
        passed.answer("200 OK", "content-type: application/json\r\n", "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200);
    }
    gateway.stop().await;
}
