"""What an app does with the SDK on a good day, against the simulator."""

from __future__ import annotations

import json

import pytest
from openai import OpenAI
from pydantic import BaseModel

FAST = {"tokens_per_second": 2000, "first_token_ms": 0}
ASK = [{"role": "user", "content": "Tell me of rivers."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
                "additionalProperties": False,
            },
        },
    }
]
DEMO_MODELS = {"chat", "reasoner", "tools", "polyglot", "novel", "fails-at-once", "fails-midway", "cut", "stall"}


def simulator(**more) -> dict:
    return {"simulator": {"seed": 7, **FAST, **more}}


def test_a_stream_says_the_same_as_a_whole_answer(demo: OpenAI) -> None:
    extra = simulator(tokens=60)
    whole = demo.chat.completions.create(model="chat", messages=ASK, extra_body=extra)
    chunks = list(demo.chat.completions.create(model="chat", messages=ASK, stream=True, extra_body=extra))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(text) > 60
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) == 60
    assert len({chunk.id for chunk in chunks}) == 1


def test_text_arrives_character_for_character(demo: OpenAI) -> None:
    text = "Grüße, 世界! 👩‍👩‍👧‍👦 e\u0301\n\ndata: [DONE]\n\n\u2028 \\u0000 \"quoted\" العربية"
    extra = simulator(text=text)
    chunks = demo.chat.completions.create(model="chat", messages=ASK, stream=True, extra_body=extra)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    whole = demo.chat.completions.create(model="chat", messages=ASK, extra_body=extra)
    assert whole.choices[0].message.content == text


def test_usage_comes_only_to_those_who_ask(demo: OpenAI) -> None:
    def stream(**more) -> list:
        extra = simulator(tokens=20)
        return list(demo.chat.completions.create(model="chat", messages=ASK, stream=True, extra_body=extra, **more))

    for unasked in (stream(), stream(stream_options={"include_usage": False})):
        assert all(chunk.usage is None and chunk.choices for chunk in unasked)
    *body, last = stream(stream_options={"include_usage": True})
    assert all(chunk.usage is None and chunk.choices for chunk in body)
    assert last.choices == []
    assert last.usage.completion_tokens == 20
    assert last.usage.total_tokens == last.usage.prompt_tokens + 20
    whole = demo.chat.completions.create(model="chat", messages=ASK, extra_body=simulator(tokens=20))
    assert whole.usage.total_tokens == last.usage.total_tokens


def test_two_choices_come_side_by_side(demo: OpenAI) -> None:
    extra = simulator(tokens=30)
    texts, reasons = ["", ""], {}
    for chunk in demo.chat.completions.create(model="chat", messages=ASK, n=2, stream=True, extra_body=extra):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert all(texts) and texts[0] != texts[1]
    assert reasons == {0: "stop", 1: "stop"}
    whole = demo.chat.completions.create(model="chat", messages=ASK, n=2, extra_body=extra)
    assert [choice.message.content for choice in whole.choices] == texts


def streamed_calls(demo: OpenAI, messages: list, extra: dict) -> tuple[list[dict], str | None]:
    calls: list[dict] = []
    reason = None
    for chunk in demo.chat.completions.create(
        model="tools", messages=messages, tools=TOOLS, stream=True, extra_body=extra
    ):
        choice = chunk.choices[0]
        for delta in choice.delta.tool_calls or []:
            if delta.index == len(calls):
                calls.append({"id": delta.id, "name": delta.function.name, "arguments": ""})
            calls[delta.index]["arguments"] += delta.function.arguments or ""
        reason = choice.finish_reason or reason
    return calls, reason


@pytest.mark.parametrize("count", [1, 3])
def test_tools_are_called_and_their_results_used(demo: OpenAI, count: int) -> None:
    extra = simulator(tool_calls=count)
    whole = demo.chat.completions.create(model="tools", messages=ASK, tools=TOOLS, extra_body=extra)
    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert len(message.tool_calls) == count
    for call in message.tool_calls:
        arguments = json.loads(call.function.arguments)
        assert call.function.name == "get_weather" and set(arguments) == {"city", "days"}

    calls, reason = streamed_calls(demo, ASK, extra)
    assert reason == "tool_calls"
    assert calls == [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments} for call in message.tool_calls
    ]

    results = [
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sky": f"clear-{number}"})}
        for number, call in enumerate(message.tool_calls)
    ]
    turn = [*ASK, message.model_dump(exclude_none=True), *results]
    answer = demo.chat.completions.create(model="tools", messages=turn, tools=TOOLS, extra_body=simulator())
    assert answer.choices[0].finish_reason == "stop"
    assert all(f"clear-{number}" in answer.choices[0].message.content for number in range(count))
    chunks = demo.chat.completions.create(
        model="tools", messages=turn, tools=TOOLS, stream=True, extra_body=simulator()
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer.choices[0].message.content


class River(BaseModel):
    name: str
    length_km: int
    countries: list[str]


def test_structured_output_is_parsed(demo: OpenAI) -> None:
    parsed = demo.chat.completions.parse(
        model="chat", messages=ASK, response_format=River, extra_body={"simulator": FAST}
    )
    assert isinstance(parsed.choices[0].message.parsed, River)
    with demo.chat.completions.stream(
        model="chat", messages=ASK, response_format=River, extra_body={"simulator": FAST}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == parsed.choices[0].message.parsed


def test_the_stream_helper_folds_to_the_whole_answer(demo: OpenAI) -> None:
    extra = simulator(tokens=40)
    with demo.chat.completions.stream(
        model="chat", messages=ASK, stream_options={"include_usage": True}, extra_body=extra
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    whole = demo.chat.completions.create(model="chat", messages=ASK, extra_body=extra)
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.usage.total_tokens == whole.usage.total_tokens


@pytest.mark.parametrize("model", ["reasoner", "polyglot"])
def test_every_token_of_the_other_models_arrives(demo: OpenAI, model: str) -> None:
    extra = simulator(tokens=80)
    chunks = demo.chat.completions.create(model=model, messages=ASK, stream=True, extra_body=extra)
    deltas = [chunk.choices[0].delta.model_dump(exclude_none=True) for chunk in chunks]
    said = [delta for delta in deltas if delta.get("content") or delta.get("reasoning_content")]
    assert len(said) == 80
    assert any("reasoning_content" in delta for delta in said) == (model == "reasoner")


def test_models_are_listed(demo: OpenAI) -> None:
    models = list(demo.models.list())
    assert DEMO_MODELS <= {model.id for model in models}
    assert {model.object for model in models} == {"model"}


def test_an_answer_names_its_channel(demo: OpenAI) -> None:
    answer = demo.chat.completions.with_raw_response.create(
        model="chat", messages=ASK, extra_body=simulator(tokens=3), extra_headers={"tokenway-channel": "sdk:python"}
    )
    assert answer.headers["tokenway-channel"] == "sdk:python"
    assert len(answer.headers["tokenway-epoch"]) == 8
    assert answer.headers["tokenway-generation"].startswith("gen_")
    assert answer.headers["tokenway-provider"]


def test_an_abandoned_stream_leaves_the_client_usable(demo: OpenAI) -> None:
    stream = demo.chat.completions.create(
        model="chat", messages=ASK, stream=True, extra_body={"simulator": {"tokens": 100_000, "tokens_per_second": 200}}
    )
    for number, _ in enumerate(stream):
        if number == 5:
            break
    stream.close()
    again = demo.chat.completions.create(model="chat", messages=ASK, extra_body=simulator(tokens=3))
    assert again.choices[0].finish_reason == "stop"
