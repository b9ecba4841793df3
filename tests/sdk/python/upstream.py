"""What a provider of each dialect must find in a request: where it looks, in its own words."""

from __future__ import annotations

import base64

import providers


def each(value: object, key: str | None = None):
    """Every object within a JSON value that has `key`."""
    if isinstance(value, dict):
        if key in value:
            yield value
        for inner in value.values():
            yield from each(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from each(inner, key)


def signatures(dialect: str, body: dict) -> list[str]:
    """What the provider itself signed or encrypted, where it looks for it."""
    if dialect == "openai":
        messages = [message for message in body["messages"] if message["role"] == "assistant"]
        details = [detail for message in messages for detail in message.get("reasoning_details") or []]
        return [detail["signature"] for detail in details if detail.get("signature")]
    if dialect == "responses":
        return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]
    if dialect == "anthropic":
        blocks = [block for message in body["messages"] if message["role"] == "assistant" for block in message["content"]]
        return [block["signature"] for block in blocks if block.get("type") == "thinking"]
    if dialect == "gemini":
        parts = [part for content in body["contents"] if content["role"] == "model" for part in content["parts"]]
        return [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    if dialect == "bedrock":
        return [found["reasoningText"]["signature"] for found in each(body["messages"], "reasoningText")]
    return []


def same_signature(dialect: str, ours: list[str], theirs: str) -> bool:
    """Byte for byte; Google's own SDKs write base64 in either of its alphabets."""
    if dialect == "gemini":
        return [providers.unbase64(each) for each in ours] == [providers.unbase64(theirs)]
    return ours == [theirs]


def calls_and_results(dialect: str, body: dict) -> tuple[list[tuple], list[tuple]]:
    """The tool calls of earlier turns, as (id, name, arguments), and their results, as (id or name, text)."""
    import json

    calls, results = [], []
    if dialect == "openai":
        for message in body["messages"]:
            for call in message.get("tool_calls") or []:
                calls.append((call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])))
            if message["role"] == "tool":
                results.append((message["tool_call_id"], flat(message["content"])))
    elif dialect == "responses":
        for item in body["input"]:
            if item.get("type") == "function_call":
                calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
            if item.get("type") == "function_call_output":
                results.append((item["call_id"], flat(item["output"])))
    elif dialect == "anthropic":
        for message in body["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else []:
                if block["type"] == "tool_use":
                    calls.append((block["id"], block["name"], block["input"]))
                if block["type"] == "tool_result":
                    results.append((block["tool_use_id"], flat(block["content"])))
    elif dialect == "gemini":
        for part in (part for content in body["contents"] for part in content["parts"]):
            if call := part.get("functionCall"):
                calls.append((None, call["name"], call.get("args", {})))
            if result := part.get("functionResponse"):
                results.append((result["name"], flat(result["response"])))
    elif dialect == "ollama":
        for message in body["messages"]:
            for call in message.get("tool_calls") or []:
                calls.append((None, call["function"]["name"], call["function"]["arguments"]))
            if message["role"] == "tool":
                results.append((message.get("tool_name"), flat(message["content"])))
    else:
        for block in (block for message in body["messages"] for block in message["content"]):
            if call := block.get("toolUse"):
                calls.append((call["toolUseId"], call["name"], call["input"]))
            if result := block.get("toolResult"):
                results.append((result["toolUseId"], flat(result["content"])))
    return calls, results


def flat(value: object) -> str:
    """All text within, whatever shape the dialect gives it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [inner for key, inner in value.items() if key != "type"]
    return "".join(flat(inner) for inner in value) if isinstance(value, list) else ""


def images(dialect: str, body: dict) -> list[bytes]:
    """The images that the provider can see."""
    if dialect == "openai":
        urls = [found["image_url"]["url"] for found in each(body["messages"], "image_url")]
    elif dialect == "responses":
        urls = [found["image_url"] for found in each(body["input"], "image_url")]
    elif dialect == "anthropic":
        return [base64.b64decode(found["source"]["data"]) for found in each(body["messages"], "source")]
    elif dialect == "gemini":
        found = [part.get("inlineData") or part["inline_data"] for part in (*each(body, "inlineData"), *each(body, "inline_data"))]
        return [providers.unbase64(part["data"]) for part in found]
    elif dialect == "ollama":
        return [base64.b64decode(image) for found in each(body["messages"], "images") for image in found["images"]]
    else:
        found = [block["image"]["source"] for block in each(body["messages"], "image")]
        return [base64.b64decode(source["bytes"]) for source in found]
    return [base64.b64decode(url.split(",", 1)[1]) for url in urls]


def schemas(dialect: str, body: dict) -> list[dict]:
    """The schemas that the provider holds its answer to."""
    places = {
        "openai": ("response_format", "json_schema", "schema"),
        "responses": ("text", "format", "schema"),
        "anthropic": ("output_config", "format", "schema"),
        "gemini": ("generationConfig", "responseJsonSchema"),
        "ollama": ("format",),
        "bedrock": ("outputConfig", "textFormat", "structure", "jsonSchema", "schema"),
    }
    found: object = body
    for key in places[dialect]:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, str):
        import json

        found = json.loads(found)
    return [found] if isinstance(found, dict) else []
