"""Apps: the official SDK of each dialect, as an app has it, with one way to ask.

Only the base URL is ours. Histories are the SDK's own objects, kept and given back as its documentation says, so that
what travels between turns travels as with any app.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import anthropic
import openai
from google import genai
from google.genai import errors as gemini_errors
from google.genai import types

IMAGE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "length_km": {"type": "integer"}},
    "required": ["name", "length_km"],
    "additionalProperties": False,
}
TOOL = ("get_weather", "The weather of a city", {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
})


@dataclass
class Answer:
    """What an app makes of an answer, whatever its SDK calls it."""

    text: str
    finish: str | None
    # (id, name, arguments); ids are None where the dialect has none.
    calls: list[tuple[str | None, str, dict]] = field(default_factory=list)
    thinking: str = ""
    # All tokens in, all tokens out, and those of a cache.
    usage: tuple[int, int, int] | None = None
    # What the app adds to its history.
    turn: list = field(default_factory=list)


def arguments(text: str) -> object:
    """A tool call's arguments; the text itself where a token limit cut it."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


class App:
    # Holds the stream to the dialect's rules; providers themselves do not always keep them.
    strict = True


class OpenAiChat(App):
    name = "openai"
    words = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}

    def __init__(self, origin: str) -> None:
        self.client = openai.OpenAI(base_url=f"{origin}/v1", api_key="sk-of-the-app", max_retries=0, timeout=60)

    def user(self, text: str, image: bool = False) -> list:
        if not image:
            return [{"role": "user", "content": text}]
        url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
        return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]}]

    def results(self, answer: Answer, outputs: list[str]) -> list:
        return [
            {"role": "tool", "tool_call_id": id, "content": output} for (id, _, _), output in zip(answer.calls, outputs)
        ]

    def options(self, tools: bool, think: bool, schema: bool) -> dict:
        more: dict = {}
        if tools:
            name, description, parameters = TOOL
            function = {"name": name, "description": description, "parameters": parameters}
            more["tools"] = [{"type": "function", "function": function}]
        if think:
            more["reasoning_effort"] = "low"
        if schema:
            form = {"name": "river", "schema": SCHEMA, "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": form}
        return more

    def begin(self, model: str, history: list):
        return self.client.chat.completions.create(model=model, messages=history, stream=True)

    def ask(self, model: str, history: list, stream: bool, tools=False, think=False, schema=False) -> Answer:
        more = self.options(tools, think, schema)
        if stream:
            message, finish, usage = self.folded(
                self.client.chat.completions.create(
                    model=model, messages=history, stream=True, stream_options={"include_usage": True}, **more
                )
            )
        else:
            whole = self.client.chat.completions.create(model=model, messages=history, **more)
            message = whole.choices[0].message.model_dump(exclude_none=True)
            finish, usage = whole.choices[0].finish_reason, whole.usage
        calls = [
            (call["id"], call["function"]["name"], arguments(call["function"]["arguments"]))
            for call in message.get("tool_calls") or []
        ]
        counts = None
        if usage:
            cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
            counts = (usage.prompt_tokens, usage.completion_tokens, cached or 0)
        thinking = message.get("reasoning_content") or message.get("reasoning") or ""
        return Answer(message.get("content") or "", finish, calls, thinking, counts, [message])

    @staticmethod
    def folded(chunks) -> tuple[dict, str | None, object]:
        """A streamed message as apps put it together, nonstandard members included."""
        message: dict = {"role": "assistant", "content": "", "reasoning_details": []}
        finish = usage = None
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in (choice for choice in chunk.choices or [] if choice.index == 0):
                finish = choice.finish_reason or finish
                OpenAiChat.add(message, choice.delta.model_dump(exclude_none=True) if choice.delta else {})
        if not message["reasoning_details"]:
            del message["reasoning_details"]
        return message, finish, usage

    @staticmethod
    def add(message: dict, delta: dict) -> None:
        for key in ("content", "reasoning_content", "reasoning", "refusal"):
            if isinstance(delta.get(key), str):
                message[key] = message.get(key, "") + delta[key]
        message["reasoning_details"].extend(delta.get("reasoning_details", []))
        for part in delta.get("tool_calls", []):
            calls, function = message.setdefault("tool_calls", []), part.get("function") or {}
            if part["index"] >= len(calls):
                begun = {"id": part.get("id"), "type": "function", "function": {"name": function["name"], "arguments": ""}}
                more = {key: part[key] for key in part if key not in ("index", "id", "type", "function")}
                calls.append({**begun, **more})
            calls[part["index"]]["function"]["arguments"] += function.get("arguments") or ""

    errors = {400: openai.BadRequestError, 401: openai.AuthenticationError, 429: openai.RateLimitError}
    errors |= {529: openai.InternalServerError}
    any_error = openai.APIError

    @staticmethod
    def status(error) -> int:
        return error.status_code


class OpenAiResponses(OpenAiChat):
    name = "responses"
    words = {"stop": "completed", "length": "incomplete", "tool_calls": "completed", "content_filter": "incomplete"}

    def user(self, text: str, image: bool = False) -> list:
        if not image:
            return [{"role": "user", "content": text}]
        url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
        content = [{"type": "input_image", "image_url": url, "detail": "auto"}, {"type": "input_text", "text": text}]
        return [{"role": "user", "content": content}]

    def results(self, answer: Answer, outputs: list[str]) -> list:
        return [
            {"type": "function_call_output", "call_id": id, "output": output}
            for (id, _, _), output in zip(answer.calls, outputs)
        ]

    def options(self, tools: bool, think: bool, schema: bool) -> dict:
        more: dict = {"store": False}
        if tools:
            name, description, parameters = TOOL
            function = {"name": name, "description": description, "parameters": parameters, "strict": False}
            more["tools"] = [{"type": "function", **function}]
        if think:
            more |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        if schema:
            more["text"] = {"format": {"type": "json_schema", "name": "river", "schema": SCHEMA, "strict": True}}
        return more

    def begin(self, model: str, history: list):
        return self.client.responses.create(model=model, input=history, stream=True)

    def ask(self, model: str, history: list, stream: bool, tools=False, think=False, schema=False) -> Answer:
        more = self.options(tools, think, schema)
        if stream:
            response, text, done = None, "", []
            for number, event in enumerate(self.client.responses.create(model=model, input=history, stream=True, **more)):
                assert event.sequence_number == number or not self.strict, "numbers without a gap"
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.output_item.done":
                    done.append(event.item)
                if event.type == "response.failed":
                    # An event like any other to the SDK: it is the app that looks.
                    raise openai.APIError(event.response.error.message, None, body=None)
                if event.type in ("response.completed", "response.incomplete"):
                    response = event.response
            assert response is not None, "no terminal event"
            # Some servers leave the whole's output empty: apps go by the items as they came.
            response.output = response.output or done
            assert response.output_text == text or not self.strict, "the deltas say what the whole says"
        else:
            response = self.client.responses.create(model=model, input=history, **more)
        calls, thinking = [], ""
        for item in response.output:
            if item.type == "function_call":
                calls.append((item.call_id, item.name, arguments(item.arguments)))
            if item.type == "reasoning":
                thinking += "".join(part.text for part in [*item.summary, *(item.content or [])])
        usage = response.usage
        counts = usage and (usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens)
        turn = [item.model_dump(exclude_none=True) for item in response.output]
        return Answer(response.output_text, response.status, calls, thinking, counts, turn)


class Anthropic(App):
    name = "anthropic"
    words = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

    def __init__(self, origin: str) -> None:
        self.client = anthropic.Anthropic(base_url=origin, api_key="sk-of-the-app", max_retries=0, timeout=60)

    def user(self, text: str, image: bool = False) -> list:
        if not image:
            return [{"role": "user", "content": text}]
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(IMAGE).decode()}
        return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]

    def results(self, answer: Answer, outputs: list[str]) -> list:
        blocks = [
            {"type": "tool_result", "tool_use_id": id, "content": output}
            for (id, _, _), output in zip(answer.calls, outputs)
        ]
        return [{"role": "user", "content": blocks}]

    def options(self, tools: bool, think: bool, schema: bool) -> dict:
        more: dict = {"max_tokens": 4096}
        if tools:
            name, description, parameters = TOOL
            more["tools"] = [{"name": name, "description": description, "input_schema": parameters}]
        if think:
            more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if schema:
            more["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return more

    def begin(self, model: str, history: list):
        return self.client.messages.create(model=model, messages=history, max_tokens=64, stream=True)

    def ask(self, model: str, history: list, stream: bool, tools=False, think=False, schema=False) -> Answer:
        more = self.options(tools, think, schema)
        if stream:
            with self.client.messages.stream(model=model, messages=history, **more) as events:
                starts = [event.type for event in events].count("message_start")
                assert starts == 1 or not self.strict, "one message_start"
                message = events.get_final_message()
        else:
            message = self.client.messages.create(model=model, messages=history, **more)
        text, thinking, calls = "", "", []
        for block in message.content:
            if block.type == "text":
                text += block.text
            if block.type == "thinking":
                thinking += block.thinking
            if block.type == "tool_use":
                calls.append((block.id, block.name, block.input))
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        counts = (usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0), usage.output_tokens, cached)
        content = [block.model_dump(exclude_none=True) for block in message.content]
        return Answer(text, message.stop_reason, calls, thinking, counts, [{"role": "assistant", "content": content}])

    errors = {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 429: anthropic.RateLimitError}
    errors |= {529: anthropic.OverloadedError}
    any_error = anthropic.APIError

    @staticmethod
    def status(error) -> int:
        return error.status_code


class Gemini(App):
    name = "gemini"
    words = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}

    def __init__(self, origin: str) -> None:
        options = types.HttpOptions(base_url=origin, timeout=60_000)
        self.client = genai.Client(api_key="sk-of-the-app", http_options=options)

    def user(self, text: str, image: bool = False) -> list:
        parts = [types.Part.from_bytes(data=IMAGE, mime_type="image/png")] if image else []
        return [types.Content(role="user", parts=[*parts, types.Part(text=text)])]

    def results(self, answer: Answer, outputs: list[str]) -> list:
        parts = [
            types.Part(function_response=types.FunctionResponse(id=id, name=name, response={"result": output}))
            for (id, name, _), output in zip(answer.calls, outputs)
        ]
        return [types.Content(role="user", parts=parts)]

    def options(self, tools: bool, think: bool, schema: bool) -> types.GenerateContentConfig:
        config = types.GenerateContentConfig()
        if tools:
            name, description, parameters = TOOL
            function = types.FunctionDeclaration(name=name, description=description, parameters_json_schema=parameters)
            config.tools = [types.Tool(function_declarations=[function])]
            config.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        if think:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        if schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = SCHEMA
        return config

    def begin(self, model: str, history: list):
        return self.client.models.generate_content_stream(model=model, contents=history)

    def ask(self, model: str, history: list, stream: bool, tools=False, think=False, schema=False) -> Answer:
        config = self.options(tools, think, schema)
        if stream:
            chunks = list(self.client.models.generate_content_stream(model=model, contents=history, config=config))
        else:
            chunks = [self.client.models.generate_content(model=model, contents=history, config=config)]
        parts, finish, usage = [], None, None
        for chunk in chunks:
            usage = chunk.usage_metadata or usage
            for candidate in chunk.candidates or []:
                finish = candidate.finish_reason or finish
                parts += (candidate.content and candidate.content.parts) or []
        text = "".join(part.text or "" for part in parts if not part.thought)
        thinking = "".join(part.text or "" for part in parts if part.thought)
        calls = [
            (part.function_call.id, part.function_call.name, part.function_call.args or {})
            for part in parts
            if part.function_call
        ]
        # Google's SDK hands on arguments that come in patches, and calls' ends, as they come.
        self.in_patches = any(part.function_call and part.function_call.will_continue for part in parts)
        counts = None
        if usage:
            out = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            counts = (usage.prompt_token_count or 0, out, usage.cached_content_token_count or 0)
        turn = [types.Content(role="model", parts=parts)]
        return Answer(text, finish and finish.value, calls, thinking, counts, turn)

    errors = {400: gemini_errors.ClientError, 401: gemini_errors.ClientError, 429: gemini_errors.ClientError}
    errors |= {529: gemini_errors.ServerError}
    any_error = gemini_errors.APIError

    @staticmethod
    def status(error) -> int:
        return error.code


APPS = (OpenAiChat, OpenAiResponses, Anthropic, Gemini)
