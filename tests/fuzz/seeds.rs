//! What mutations start from: payloads as providers write them, calls as apps make them, and the frames around them.

use serde_json::{Value, json};
use tokenway::dialect::{AppDialect, Dialect};

/// Payloads as providers of a dialect write them, small; a mutation of these gets further than noise does.
pub(crate) fn seeds(dialect: Dialect) -> Vec<Value> {
    match dialect {
        Dialect::OpenAi => vec![
            json!({"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hé"}}]}),
            json!({"choices":[{"index":1,"delta":{"reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"c2ln"}]}}]}),
            json!({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}}]}),
            json!({"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"1}"}}]}}]}),
            json!({"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}],"annotations":[{"url_citation":{"url":"u"}}]}}]}),
            json!({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}),
            json!({"error":{"message":"no","code":429}}),
        ],
        Dialect::Responses => vec![
            json!({"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}),
            json!({"type":"response.output_item.added","output_index":0,"item":{"id":"i","type":"function_call","call_id":"c","name":"f","arguments":""}}),
            json!({"type":"response.function_call_arguments.delta","output_index":0,"item_id":"i","delta":"{\"a\":1}"}),
            json!({"type":"response.output_item.added","output_index":1,"item":{"id":"m","type":"message","content":[]}}),
            json!({"type":"response.output_text.delta","output_index":1,"content_index":0,"item_id":"m","delta":"Hé"}),
            json!({"type":"response.reasoning_summary_text.delta","output_index":2,"summary_index":0,"delta":"hm"}),
            json!({"type":"response.output_item.done","output_index":2,"item":{"type":"reasoning","encrypted_content":"ZW5j","summary":[{"type":"summary_text","text":"hm"}]}}),
            json!({"type":"response.image_generation_call.partial_image","output_index":3,"partial_image_b64":"AAAA","partial_image_index":0}),
            json!({"type":"response.output_item.done","output_index":3,"item":{"id":"g","type":"image_generation_call","result":"AAAA"}}),
            json!({"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Héy"}]}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}}),
            json!({"type":"error","message":"no","code":"x"}),
        ],
        Dialect::Anthropic => vec![
            json!({"type":"message_start","message":{"id":"msg","role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}),
            json!({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}),
            json!({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}),
            json!({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}),
            json!({"type":"content_block_stop","index":0}),
            json!({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}),
            json!({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}),
            json!({"type":"content_block_start","index":2,"content_block":{"type":"web_search_tool_result","content":[]}}),
            json!({"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}),
            json!({"type":"content_block_delta","index":3,"delta":{"type":"citations_delta","citation":{"url":"u"}}}),
            json!({"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"Hé"}}),
            json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}),
            json!({"type":"message_stop"}),
            json!({"type":"error","error":{"type":"overloaded_error","message":"no"}}),
        ],
        Dialect::Gemini => vec![
            json!({"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hé"},{"text":"hm","thought":true,"thoughtSignature":"c2ln"}]}}]}),
            json!({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]}),
            json!({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true,"partialArgs":[{"jsonPath":"$.a[2].b","stringValue":"x","willContinue":true}]}}]}}]}),
            json!({"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a[3].b","numberValue":1}]}}]}}]}),
            json!({"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}},{"executableCode":{"code":"1","language":"PYTHON"}}]},"groundingMetadata":{"groundingChunks":[{"web":{"uri":"u"}}]}}]}),
            json!({"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3},"promptFeedback":{"blockReason":"SAFETY"}}),
            json!({"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}),
        ],
        Dialect::Ollama => vec![
            json!({"model":"m","message":{"role":"assistant","content":"Hé","thinking":"hm"},"done":false}),
            json!({"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}),
            json!({"response":"Hé","done":false}),
            json!({"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}),
            json!({"error":"no"}),
        ],
        Dialect::Bedrock => vec![
            json!({"role":"assistant"}),
            json!({"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}),
            json!({"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\":1}"}}}),
            json!({"contentBlockIndex":1,"delta":{"reasoningContent":{"text":"hm"}}}),
            json!({"contentBlockIndex":1,"delta":{"reasoningContent":{"signature":"c2ln"}}}),
            json!({"contentBlockIndex":2,"delta":{"text":"Hé","citation":{"title":"u"}}}),
            json!({"contentBlockIndex":2}),
            json!({"stopReason":"end_turn"}),
            json!({"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}),
            json!({"bytes":"eyJ0eXBlIjoicGluZyJ9"}),
        ],
    }
}

/// The names that Bedrock's frames and Anthropic's and Responses' events go by.
pub(crate) const NAMES: [&str; 9] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "chunk",
    "throttlingException",
    "error",
];

/// One payload, framed.
pub(crate) fn frame(content_type: &str, name: &str, payload: &[u8]) -> Vec<u8> {
    match content_type {
        "text/event-stream" => {
            let name = if name.is_empty() { String::new() } else { format!("event: {name}\r\n") };
            [name.as_bytes(), b"data: ", payload, b"\n\n"].concat()
        }
        "application/json" => [b"[", payload, b",\r\n"].concat(),
        "application/x-ndjson" => [payload, b"\n"].concat(),
        _ => event_frame(name, payload),
    }
}

/// Amazon's frame: lengths, their CRC, headers, payload, the CRC of all.
fn event_frame(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let kind = if name.ends_with("Exception") { "exception" } else { "event" };
    for (key, value) in [(":message-type", kind), (&format!(":{kind}-type"), name)] {
        headers.push(u8::try_from(key.len()).expect("short"));
        headers.extend(key.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let total = u32::try_from(16 + headers.len() + payload.len()).expect("short");
    let mut frame = total.to_be_bytes().to_vec();
    frame.extend(u32::try_from(headers.len()).expect("short").to_be_bytes());
    frame.extend(crc(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload);
    frame.extend(crc(&frame).to_be_bytes());
    frame
}

fn crc(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    };
    !bytes.iter().fold(!0, byte)
}

/// Keys and words that readers look for.
pub(crate) const WORDS: &[&str] = &[
    "type",
    "role",
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "model",
    "function",
    "content",
    "text",
    "messages",
    "input",
    "contents",
    "parts",
    "tools",
    "tool_choice",
    "tool_calls",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "tool_call_id",
    "id",
    "call_id",
    "name",
    "arguments",
    "function_call",
    "function_call_output",
    "functionCall",
    "functionResponse",
    "response",
    "args",
    "output",
    "image",
    "image_url",
    "input_image",
    "source",
    "base64",
    "url",
    "data",
    "media_type",
    "mimeType",
    "inlineData",
    "inline_data",
    "fileData",
    "file",
    "file_id",
    "thinking",
    "signature",
    "redacted_thinking",
    "reasoning",
    "summary",
    "encrypted_content",
    "thoughtSignature",
    "thought",
    "reasoning_details",
    "generationConfig",
    "generation_config",
    "thinkingConfig",
    "thinkingBudget",
    "budget_tokens",
    "enabled",
    "effort",
    "response_format",
    "json_schema",
    "json_object",
    "schema",
    "format",
    "output_config",
    "strict",
    "max_tokens",
    "max_output_tokens",
    "stop",
    "n",
    "temperature",
    "top_p",
    "metadata",
    "user_id",
    "stream",
    "cache_control",
    "ephemeral",
    "instructions",
    "systemInstruction",
    "previous_response_id",
    "parallel_tool_calls",
    "functionDeclarations",
    "function_declarations",
    "parameters",
    "input_schema",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "ANY",
    "any",
    "auto",
    "required",
    "none",
    "input_text",
    "output_text",
    "message",
    "refusal",
    "input_audio",
    "input_file",
    "document",
    "stop_sequences",
    "stopSequences",
    "candidateCount",
    "$ref",
];

/// What an app of this dialect may ask, as a start for mutations.
pub(crate) fn asked(app: AppDialect) -> Value {
    match app {
        AppDialect::OpenAi => json!({
            "model": "fast", "stream": true, "n": 1, "max_tokens": 9, "temperature": 0.5, "stop": ["x"], "reasoning_effort": "low",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
                {"role": "assistant", "content": null, "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic"}],
                 "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "1"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}], "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}}}),
        AppDialect::Responses => json!({
            "model": "fast", "stream": true, "instructions": "Be brief.", "reasoning": {"effort": "low", "summary": "auto"},
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
                {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"}],
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": "auto",
            "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}}}),
        AppDialect::Anthropic => json!({
            "model": "fast", "stream": true, "max_tokens": 9, "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}}),
        AppDialect::Gemini => json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": 1}}}]}],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            "generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": 1024}, "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}}),
    }
}
