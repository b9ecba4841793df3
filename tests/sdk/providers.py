"""How providers say things: the same answer in each dialect, as a stream and as a whole body.

Written from the providers' documentation and recordings, and on purpose not from the gateway's code: it is what the
gateway's decoders are held against. An answer is a list of parts:

    {"think": "Let me see.", "sign": "…"}     reasoning, signed or encrypted where the dialect can
    {"text": "Hello"}
    {"call": {"id": "call_1", "name": "f", "args": {…}}}
    {"finish": "length"}                       where it is not as usual
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator

# Harmonised: 25 tokens in, 5 of them from a cache; 12 out, 3 of them spent on reasoning where the dialect counts them.
OPENAI_USAGE = {
    "prompt_tokens": 25,
    "completion_tokens": 12,
    "total_tokens": 37,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
RESPONSES_USAGE = {
    "input_tokens": 25,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 37,
}
ANTHROPIC_USAGE = {"input_tokens": 20, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0}
GEMINI_USAGE = {
    "promptTokenCount": 25,
    "cachedContentTokenCount": 5,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 37,
}
BEDROCK_USAGE = {"inputTokens": 20, "outputTokens": 12, "totalTokens": 37, "cacheReadInputTokens": 5}

DIALECTS = ("openai", "responses", "anthropic", "gemini", "ollama", "bedrock")
CONTENT_TYPES = {"ollama": "application/x-ndjson", "bedrock": "application/vnd.amazon.eventstream"}


def dialect_of(path: str) -> str | None:
    """What is spoken on a route."""
    path = path.split("?")[0]
    if path.endswith("/chat/completions"):
        return "openai"
    if path.endswith("/responses"):
        return "responses"
    if path.endswith("/messages"):
        return "anthropic"
    if path.endswith((":generateContent", ":streamGenerateContent")):
        return "gemini"
    if path.endswith(("/api/chat", "/api/generate")):
        return "ollama"
    if "/model/" in path and path.endswith(("/converse-stream", "/converse")):
        return "bedrock"
    return None


def wants_stream(dialect: str, path: str, body: dict) -> bool:
    """Whether a request is for a stream."""
    if dialect == "gemini":
        return ":streamGenerateContent" in path
    if dialect == "bedrock":
        return path.endswith("/converse-stream")
    return body.get("stream", dialect == "ollama")


def error(dialect: str, status: int, message: str) -> object:
    """The body of an HTTP error."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kinds |= {429: "rate_limit_error", 529: "overloaded_error"}
    kind = kinds.get(status, "api_error")
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    if dialect == "gemini":
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        names |= {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 529: "UNAVAILABLE"}
        return {"error": {"code": status, "message": message, "status": names.get(status, "INTERNAL")}}
    if dialect == "ollama":
        return {"error": message}
    if dialect == "bedrock":
        return {"message": message}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def pieces(text: str) -> Iterator[str]:
    """Deltas of three characters, so that words and escapes are cut."""
    yield from (text[at : at + 3] for at in range(0, len(text), 3))


def finish(parts: list[dict], words: dict[str, str]) -> str:
    """The dialect's word for how it ended."""
    said = next((part["finish"] for part in parts if "finish" in part), None)
    called = any("call" in part for part in parts)
    return words[said or ("tool_calls" if called else "stop")]


def sse(payload: object, event: str | None = None) -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


# OpenAI Chat Completions, thinking as OpenRouter has it


OPENAI_WORDS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


def openai_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    def chunk(delta: dict, reason: str | None = None, **more) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model}
        return sse({**head, "choices": choices, **more})

    yield chunk({"role": "assistant", "content": ""})
    calls = 0
    for part in parts:
        for piece in pieces(part.get("think", "")):
            detail = {"type": "reasoning.text", "text": piece, "format": "anthropic-claude-v1", "index": 0}
            yield chunk({"reasoning": piece, "reasoning_details": [detail]})
        if "sign" in part:
            detail = {"type": "reasoning.text", "signature": part["sign"], "format": "anthropic-claude-v1", "index": 0}
            yield chunk({"reasoning_details": [detail]})
        for piece in pieces(part.get("text", "")):
            yield chunk({"content": piece})
        if call := part.get("call"):
            function = {"name": call["name"], "arguments": ""}
            yield chunk({"tool_calls": [{"index": calls, "id": call["id"], "type": "function", "function": function}]})
            for piece in pieces(json.dumps(call["args"], ensure_ascii=False)):
                yield chunk({"tool_calls": [{"index": calls, "function": {"arguments": piece}}]})
            calls += 1
    yield chunk({}, finish(parts, OPENAI_WORDS))
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model}
    yield sse({**head, "choices": [], "usage": OPENAI_USAGE})
    yield b"data: [DONE]\n\n"


def openai_whole(parts: list[dict], model: str) -> dict:
    message: dict = {"role": "assistant", "content": "".join(part.get("text", "") for part in parts) or None}
    details = [
        {"type": "reasoning.text", "text": part["think"], "signature": part.get("sign"), "format": "anthropic-claude-v1"}
        for part in parts
        if "think" in part
    ]
    if details:
        message |= {"reasoning": "".join(detail["text"] for detail in details), "reasoning_details": details}
    calls = [part["call"] for part in parts if "call" in part]
    if calls:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["args"], ensure_ascii=False)},
            }
            for call in calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish(parts, OPENAI_WORDS)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": model}
    return {**head, "choices": [choice], "usage": OPENAI_USAGE}


# OpenAI Responses


def responses_items(parts: list[dict]) -> list[dict]:
    items: list[dict] = []
    for number, part in enumerate(parts):
        if "think" in part:
            summary = [{"type": "summary_text", "text": part["think"]}]
            item = {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
            items.append({**item, "encrypted_content": part["sign"]} if "sign" in part else item)
        if "text" in part:
            content = [{"type": "output_text", "text": part["text"], "annotations": [], "logprobs": []}]
            message = {"type": "message", "status": "completed", "role": "assistant", "content": content}
            items.append({"id": f"msg_{number}", **message})
        if call := part.get("call"):
            arguments = json.dumps(call["args"], ensure_ascii=False)
            function = {"type": "function_call", "status": "completed", "call_id": call["id"]}
            items.append({"id": f"fc_{number}", **function, "name": call["name"], "arguments": arguments})
    return items


def responses_whole(parts: list[dict], model: str, status: str = "completed") -> dict:
    head = {"id": "resp_upstream1", "object": "response", "created_at": 1_790_000_000, "model": model, "error": None}
    more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}, "instructions": None}
    why = None
    if any(part.get("finish") == "length" for part in parts):
        status, why = "incomplete", {"reason": "max_output_tokens"}
    items = responses_items(parts)
    return {**head, **more, "status": status, "incomplete_details": why, "output": items, "usage": RESPONSES_USAGE}


def responses_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    number = -1

    def event(kind: str, **more) -> bytes:
        nonlocal number
        number += 1
        return sse({"type": kind, "sequence_number": number, **more}, kind)

    whole = responses_whole(parts, model)
    empty = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield event("response.created", response=empty)
    yield event("response.in_progress", response=empty)
    for at, item in enumerate(whole["output"]):
        where = {"item_id": item["id"], "output_index": at}
        added = {**item, "status": "in_progress"}
        if item["type"] == "reasoning":
            # The value in `added` is another one: only that in `done` counts.
            yield event("response.output_item.added", output_index=at, item={**item, "summary": [], "encrypted_content": "c2hvcnQ="})
            where["summary_index"] = 0
            text = item["summary"][0]["text"]
            yield event("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
            for piece in pieces(text):
                yield event("response.reasoning_summary_text.delta", **where, delta=piece)
            yield event("response.reasoning_summary_text.done", **where, text=text)
            yield event("response.reasoning_summary_part.done", **where, part=item["summary"][0])
        elif item["type"] == "message":
            yield event("response.output_item.added", output_index=at, item={**added, "content": []})
            where["content_index"] = 0
            part = item["content"][0]
            yield event("response.content_part.added", **where, part={**part, "text": ""})
            for piece in pieces(part["text"]):
                yield event("response.output_text.delta", **where, delta=piece, logprobs=[])
            yield event("response.output_text.done", **where, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **where, part=part)
        else:
            yield event("response.output_item.added", output_index=at, item={**added, "arguments": ""})
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **where, delta=piece)
            yield event("response.function_call_arguments.done", **where, arguments=item["arguments"], name=item["name"])
        yield event("response.output_item.done", output_index=at, item=item)
    yield event(f"response.{whole['status']}", response=whole)


# Anthropic Messages


ANTHROPIC_WORDS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def anthropic_blocks(parts: list[dict]) -> list[dict]:
    blocks: list[dict] = []
    for part in parts:
        if "think" in part:
            blocks.append({"type": "thinking", "thinking": part["think"], "signature": part.get("sign", "")})
        if "text" in part:
            blocks.append({"type": "text", "text": part["text"]})
        if call := part.get("call"):
            blocks.append({"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]})
    return blocks


def anthropic_whole(parts: list[dict], model: str) -> dict:
    head = {"id": "msg_upstream1", "type": "message", "role": "assistant", "model": model}
    usage = {**ANTHROPIC_USAGE, "output_tokens": 12}
    reason = finish(parts, ANTHROPIC_WORDS)
    return {**head, "content": anthropic_blocks(parts), "stop_reason": reason, "stop_sequence": None, "usage": usage}


def anthropic_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    def event(kind: str, **more) -> bytes:
        return sse({"type": kind, **more}, kind)

    whole = anthropic_whole(parts, model)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    yield event("message_start", message=begun)
    for at, block in enumerate(whole["content"]):
        if block["type"] == "thinking":
            empty, key, kind, said = {**block, "thinking": "", "signature": ""}, "thinking", "thinking_delta", block["thinking"]
        elif block["type"] == "text":
            empty, key, kind, said = {**block, "text": ""}, "text", "text_delta", block["text"]
        else:
            said = json.dumps(block["input"], ensure_ascii=False)
            empty, key, kind = {**block, "input": {}}, "partial_json", "input_json_delta"
        yield event("content_block_start", index=at, content_block=empty)
        if at == 0:
            yield event("ping")
        for piece in pieces(said):
            yield event("content_block_delta", index=at, delta={"type": kind, key: piece})
        if block.get("signature"):
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield event("content_block_delta", index=at, delta=delta)
        yield event("content_block_stop", index=at)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": 12})
    yield event("message_stop")


# Gemini


GEMINI_WORDS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


def gemini_parts(parts: list[dict], cut: bool) -> list[dict]:
    """A signature stands beside the part that follows the thought."""
    all_parts: list[dict] = []
    signature: dict = {}
    for part in parts:
        if "think" in part:
            texts = pieces(part["think"]) if cut else [part["think"]]
            all_parts += [{"text": piece, "thought": True} for piece in texts]
            if "sign" in part:
                signature = {"thoughtSignature": part["sign"]}
        if "text" in part:
            texts = list(pieces(part["text"])) if cut else [part["text"]]
            all_parts += [{"text": piece} for piece in texts]
            if signature:
                all_parts.append({"text": "", **signature})
                signature = {}
        if call := part.get("call"):
            all_parts.append({"functionCall": {"name": call["name"], "args": call["args"]}, **signature})
            signature = {}
    return all_parts


def gemini_response(parts: list[dict], model: str, reason: str | None, usage: dict) -> dict:
    candidate: dict = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "resp-1"}


def gemini_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    said = gemini_parts(parts, cut=True)
    # Cumulative, and so to be taken from the last chunk only.
    begun = {"promptTokenCount": 25, "totalTokenCount": 25}
    for part in said[:-1]:
        yield sse(gemini_response([part], model, None, begun)).replace(b"\n\n", b"\r\n\r\n")
    last = gemini_response(said[-1:], model, finish(parts, GEMINI_WORDS), GEMINI_USAGE)
    yield sse(last).replace(b"\n\n", b"\r\n\r\n")


def gemini_whole(parts: list[dict], model: str) -> dict:
    return gemini_response(gemini_parts(parts, cut=False), model, finish(parts, GEMINI_WORDS), GEMINI_USAGE)


# Ollama


def ollama_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    def line(message: dict, **more) -> bytes:
        head = {"model": model, "created_at": "2026-11-22T10:00:00Z", "message": {"role": "assistant", "content": "", **message}}
        return json.dumps({**head, "done": False, **more}, ensure_ascii=False).encode() + b"\n"

    for part in parts:
        for piece in pieces(part.get("think", "")):
            yield line({"thinking": piece})
        for piece in pieces(part.get("text", "")):
            yield line({"content": piece})
        if call := part.get("call"):
            yield line({"tool_calls": [{"function": {"name": call["name"], "arguments": call["args"]}}]})
    words = {"stop": "stop", "length": "length", "tool_calls": "stop", "content_filter": "stop"}
    yield line({}, done=True, done_reason=finish(parts, words), prompt_eval_count=25, eval_count=12)


# Bedrock


BEDROCK_WORDS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}


def bedrock_frame(kind: str, payload: dict, message: str = "event") -> bytes:
    headers = b""
    for name, value in ((f":{message}-type", kind), (":content-type", "application/json"), (":message-type", message)):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return frame + struct.pack(">I", zlib.crc32(frame))


def bedrock_stream(parts: list[dict], model: str) -> Iterator[bytes]:
    yield bedrock_frame("messageStart", {"role": "assistant"})
    at = 0
    for part in parts:

        def delta(it: dict, at: int = at) -> bytes:
            return bedrock_frame("contentBlockDelta", {"contentBlockIndex": at, "delta": it})

        if "finish" in part:
            continue
        for piece in pieces(part.get("think", "")):
            yield delta({"reasoningContent": {"text": piece}})
        if "sign" in part:
            yield delta({"reasoningContent": {"signature": part["sign"]}})
        for piece in pieces(part.get("text", "")):
            yield delta({"text": piece})
        if call := part.get("call"):
            start = {"toolUse": {"toolUseId": call["id"], "name": call["name"]}}
            yield bedrock_frame("contentBlockStart", {"contentBlockIndex": at, "start": start})
            for piece in pieces(json.dumps(call["args"], ensure_ascii=False)):
                yield delta({"toolUse": {"input": piece}})
        yield bedrock_frame("contentBlockStop", {"contentBlockIndex": at})
        at += 1
    yield bedrock_frame("messageStop", {"stopReason": finish(parts, BEDROCK_WORDS)})
    yield bedrock_frame("metadata", {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 7}})


STREAMS = {
    "openai": openai_stream,
    "responses": responses_stream,
    "anthropic": anthropic_stream,
    "gemini": gemini_stream,
    "ollama": ollama_stream,
    "bedrock": bedrock_stream,
}
WHOLES = {
    "openai": openai_whole,
    "responses": responses_whole,
    "anthropic": anthropic_whole,
    "gemini": gemini_whole,
}


def failure(dialect: str, status: int, message: str, number: int) -> bytes:
    """An error in the middle of a stream that began well, after so many frames."""
    if dialect == "bedrock":
        return bedrock_frame("throttlingException", {"message": message}, "exception")
    body = error(dialect, status, message)
    if dialect == "ollama":
        return json.dumps(body).encode() + b"\n"
    if dialect == "responses":
        event = {"type": "error", "sequence_number": number, "code": "server_error", "message": message, "param": None}
        return sse(event, "error")
    return sse(body, "error" if dialect == "anthropic" else None)


def unbase64(text: str) -> bytes:
    """Base64 of either alphabet, with or without its padding."""
    text = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4))
