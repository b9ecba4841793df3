//! A later turn goes on from an earlier response, at whatever provider; and what a response began with can be looked at.

use serde_json::{Value, json};

use super::{
    ask,
    provider::{Provider, THEIRS, WHOLE, before},
    retrieved, when,
};
use crate::{
    gateway::{Tokenway, body, refusal, send, sent},
    upstream::Upstream,
};

/// A whole turn: what its provider was sent, and the response.
async fn turn(
    gateway: &Tokenway,
    upstream: &Upstream,
    dialect: &'static str,
    more: Value,
) -> (Value, Value) {
    let call = sent(gateway.post("/v1/responses", ask(dialect, more)));
    let called = upstream.call().await;
    let sent = called.json();
    if dialect == "responses" {
        let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": WHOLE, "annotations": [] }] });
        let answer = json!({ "id": THEIRS, "object": "response", "status": "completed", "output": [message] });
        let json = "content-type: application/json\r\n";
        called.answer("200 OK", json, &answer.to_string()).await;
    } else {
        Provider::say_all(dialect, called).await;
    }
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 200);
    (sent, body(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_from_provider_to_provider_by_its_last_response() {
    let dialects = ["anthropic", "openai", "gemini", "responses"];
    let (gateway, upstreams) = before(&dialects, "").await;
    let [anthropic, openai, gemini, responses] = &upstreams[..] else { unreachable!() };
    let (_, first) =
        turn(&gateway, anthropic, "anthropic", json!({ "max_output_tokens": 50 })).await;
    let after =
        |previous: &Value| json!({ "previous_response_id": previous["id"], "input": "More" });
    let (told, second) = turn(&gateway, openai, "openai", after(&first)).await;
    let said: Vec<_> = told["messages"].as_array().expect("messages").iter().collect();
    let roles: Vec<_> = said.iter().map(|it| it["role"].as_str().expect("a role")).collect();
    assert_eq!(roles, ["user", "assistant", "user"], "{told}");
    assert!(said[1].to_string().contains(WHOLE) && said[2].to_string().contains("More"), "{told}");
    assert_eq!(second["previous_response_id"], first["id"], "it is told what was asked");
    let (told, third) = turn(&gateway, gemini, "gemini", after(&second)).await;
    assert_eq!(told["contents"].as_array().map(Vec::len), Some(5), "{told}");
    let (told, fourth) = turn(&gateway, responses, "responses", after(&third)).await;
    assert_eq!(told["input"].as_array().map(Vec::len), Some(7), "{told}");
    assert_eq!(told["previous_response_id"], Value::Null);
    // What went before was written into its input, so the provider's own answer would not say what was asked.
    assert_ne!(fourth["id"], THEIRS);
    assert_eq!(fourth["previous_response_id"], third["id"]);
    let (told, _) = turn(&gateway, openai, "openai", after(&fourth)).await;
    assert_eq!(told["messages"].as_array().map(Vec::len), Some(9), "{told}");
    let id = fourth["id"].as_str().expect("an id");
    assert_eq!(retrieved(&gateway, id).await["output"][0]["content"][0]["text"], WHOLE);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_previous_response_that_nobody_here_knows_is_the_providers_or_refused() {
    let (gateway, upstreams) = before(&["anthropic", "responses"], "").await;
    let previous = json!({ "previous_response_id": "resp_elsewhere" });
    let refused = |model: &'static str, previous: Value| {
        let request = gateway.post("/v1/responses", ask(model, previous));
        async move {
            let (status, said) = refusal(request).await;
            assert_eq!(status, 400, "{said}");
            assert_eq!(said["error"]["code"], "previous_response_not_found");
            assert_eq!(said["error"]["param"], "previous_response_id");
        }
    };
    refused("anthropic", previous.clone()).await;
    let (told, passed) = turn(&gateway, &upstreams[1], "responses", previous).await;
    assert_eq!(told["previous_response_id"], "resp_elsewhere");
    assert_eq!(told["input"], "Hi");
    // What went before it is still only the provider's to know.
    let previous = json!({ "previous_response_id": passed["id"] });
    refused("anthropic", previous.clone()).await;
    let (told, _) = turn(&gateway, &upstreams[1], "responses", previous).await;
    assert_eq!(told["previous_response_id"], THEIRS);
    assert!(upstreams[0].is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_stored_is_no_turn_and_keeps_no_input() {
    let (gateway, upstreams) = before(&["anthropic"], "").await;
    let (_, response) = turn(&gateway, &upstreams[0], "anthropic", json!({ "store": false })).await;
    let id = response["id"].as_str().expect("an id");
    assert_eq!((&response["store"], &retrieved(&gateway, id).await), (&json!(false), &response));
    let listed = body(send(gateway.get(&format!("/v1/responses/{id}/input_items"))).await).await;
    assert_eq!((&listed["data"], &listed["has_more"]), (&json!([]), &json!(false)));
    let (status, said) = refusal(
        gateway.post("/v1/responses", ask("anthropic", json!({ "previous_response_id": id }))),
    )
    .await;
    assert_eq!((status, &said["error"]["code"]), (400, &json!("previous_response_not_found")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_does_not_go_on_from_one_that_still_runs() {
    let (gateway, upstreams) = before(&["anthropic"], "").await;
    let more = json!({ "background": true });
    let first = body(send(gateway.post("/v1/responses", ask("anthropic", more))).await).await;
    let id = first["id"].as_str().expect("an id");
    let next =
        || gateway.post("/v1/responses", ask("anthropic", json!({ "previous_response_id": id })));
    let (status, said) = refusal(next()).await;
    assert_eq!((status, &said["error"]["param"]), (400, &json!("previous_response_id")), "{said}");
    Provider::say_all("anthropic", upstreams[0].call().await).await;
    when(&gateway, id, "completed").await;
    let call = sent(next());
    Provider::say_all("anthropic", upstreams[0].call().await).await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_response_began_with_is_had_in_pages() {
    let (gateway, upstreams) = before(&["openai"], "").await;
    let input: Vec<_> =
        (0..5).map(|n| json!({ "role": "user", "content": format!("item {n}") })).collect();
    let (_, response) = turn(&gateway, &upstreams[0], "openai", json!({ "input": input })).await;
    let path = format!("/v1/responses/{}/input_items", response["id"].as_str().expect("an id"));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = format!("{path}?order=asc&limit=2&include[]=x{after}");
        let page = body(send(gateway.get(&page)).await).await;
        for item in page["data"].as_array().expect("items") {
            seen.push(item["content"][0]["text"].as_str().expect("text").to_owned());
        }
        after = format!("&after={}", page["last_id"].as_str().expect("an id"));
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, ["item 0", "item 1", "item 2", "item 3", "item 4"]);
    let newest = body(send(gateway.get(&path)).await).await;
    assert_eq!(newest["data"][0]["content"][0]["text"], "item 4");
    for (query, param) in
        [("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=x", "after")]
    {
        let (status, said) = refusal(gateway.get(&format!("{path}?{query}"))).await;
        assert_eq!((status, &said["error"]["param"]), (400, &json!(param)), "{said}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_refers_to_by_an_items_id_is_put_in_its_place() {
    let (gateway, upstreams) = before(&["anthropic", "openai"], "").await;
    let [anthropic, openai] = &upstreams[..] else { unreachable!() };
    let (_, first) =
        turn(&gateway, anthropic, "anthropic", json!({ "max_output_tokens": 9 })).await;
    let item = first["output"].as_array().expect("items").last().expect("an item");
    let reference = json!({ "type": "item_reference", "id": item["id"] });
    let user = |text: &str| json!({ "role": "user", "content": text });
    let input = json!({ "input": [user("Hi"), reference, user("More")] });
    let (told, _) = turn(&gateway, openai, "openai", input).await;
    let said = told["messages"].as_array().expect("messages");
    assert_eq!(said.len(), 3, "{told}");
    assert!(said[1]["role"] == "assistant" && said[1].to_string().contains(WHOLE), "{told}");

    let unknown =
        json!({ "input": [user("Hi"), { "type": "item_reference", "id": "msg_else_0" }] });
    let (status, refused) = refusal(gateway.post("/v1/responses", ask("openai", unknown))).await;
    assert_eq!((status, &refused["error"]["param"]), (400, &json!("input[1]")), "{refused}");
    gateway.stop().await;
}
