//! Tools and wanted formats.

use super::*;

/// The calls of a stream, put together: name and arguments.
fn calls(answer: &Answer) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in answer.chunks() {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().expect("an index") as usize;
            if let Some(name) = call["function"]["name"].as_str() {
                assert_eq!(index, calls.len());
                assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")));
                calls.push((name.to_owned(), String::new()));
            }
            calls[index].1 += call["function"]["arguments"].as_str().expect("a fragment");
        }
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn tools_are_called_with_arguments_in_fragments() {
    let answer = ask("sim-tools", json!({ "simulator": { "tool_calls": 3 } })).await;
    let called = calls(&answer);
    assert_eq!(called.len(), 3);
    for (name, arguments) in &called {
        assert_eq!(name, "get_weather");
        let arguments: Value = serde_json::from_str(arguments).expect("valid arguments");
        assert!(arguments["city"].is_string());
    }
    assert!(answer.chunks().len() > 20, "in fragments");
    assert_eq!(answer.finishes(), ["tool_calls"]);
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_tools_are_called_as_their_schema_says() {
    let parameters = json!({
        "type": "object",
        "properties": {
            "query": { "type": "string", "minLength": 3, "maxLength": 30 },
            "sort": { "enum": ["new", "old"] },
            "limit": { "type": "integer", "minimum": 1, "maximum": 5 },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            "within": { "anyOf": [{ "$ref": "#/$defs/area" }, { "type": "null" }] },
        },
        "required": ["query", "sort", "limit", "tags", "within"],
        "additionalProperties": false,
        "$defs": { "area": {
            "type": "object",
            "properties": { "km": { "type": "number", "exclusiveMinimum": 0 } },
            "required": ["km"],
        } },
    });
    let tool =
        json!({ "type": "function", "function": { "name": "find", "parameters": parameters } });
    for seed in 0..30 {
        let more = json!({ "tools": [tool], "simulator": { "seed": seed } });
        for (name, arguments) in calls(&ask("sim-tools", more).await) {
            assert_eq!(name, "find");
            let arguments: Value = serde_json::from_str(&arguments).expect("valid arguments");
            if let Err(error) = jsonschema::validate(&parameters, &arguments) {
                panic!("{arguments} is not of the schema: {error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_demanded_is_called_by_any_model() {
    let tool = json!({ "type": "function", "function": { "name": "find" } });
    let choice = json!({ "type": "function", "function": { "name": "find" } });
    let more = json!({ "tools": [tool], "tool_choice": choice, "parallel_tool_calls": false });
    let answer = ask("sim-text", more).await;
    assert_eq!(calls(&answer), [("find".to_owned(), "{}".to_owned())]);
    let more = json!({ "tools": [tool], "tool_choice": "none" });
    assert!(calls(&ask("sim-tools", more).await).is_empty());
    let more = json!({ "tool_choice": "required" });
    assert_eq!(ask("sim-text", more).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn the_results_of_tools_are_used_in_the_answer() {
    let messages = json!([
        { "role": "user", "content": "Weather?" },
        { "role": "assistant", "content": null, "tool_calls": [] },
        { "role": "tool", "tool_call_id": "call_1", "content": "{\"city\":\"Lisboa\",\"degrees\":21}" },
        { "role": "tool", "tool_call_id": "call_2", "content": "rain in Zürich" },
    ]);
    let answer = ask("sim-tools", json!({ "messages": messages })).await;
    let text = answer.said(0, "content");
    assert!(text.contains("Lisboa") && text.contains("21") && text.contains("rain in Zürich"));
    assert_eq!(answer.finishes(), ["stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_is_json_of_the_wanted_schema() {
    let answer = ask("sim-text", json!({ "response_format": { "type": "json_object" } })).await;
    let value: Value = serde_json::from_str(&answer.said(0, "content")).expect("JSON");
    assert!(value.is_object());
    let schema = json!({
        "type": "object",
        "properties": { "steps": { "type": "array", "items": { "type": "string" } } },
        "required": ["steps"],
    });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    let answer = ask("sim-text", json!({ "response_format": format })).await;
    let value: Value = serde_json::from_str(&answer.said(0, "content")).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
}
