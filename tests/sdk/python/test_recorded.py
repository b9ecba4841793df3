"""Recorded streams, their bytes cut at random: through the gateway the SDK gives exactly what it gives without it."""

from __future__ import annotations

import json
import random

import openai
import pytest
from apps import APPS, arguments
from conftest import SEED
from openai import OpenAI
from player import expected, load, recordings

CUTS = 3


def outcome(client: OpenAI, model: str, wish: dict, **more) -> dict:
    """All that an app can see of one stream: every chunk with all its members, and how it ended."""
    chunks: list[dict] = []
    messages = [{"role": "user", "content": json.dumps(wish)}]
    try:
        for chunk in client.chat.completions.create(model=model, messages=messages, stream=True, **more):
            chunks.append(chunk.model_dump(mode="json"))
        error = None
    except openai.APIError as raised:
        error = [type(raised).__name__, getattr(raised, "status_code", None), raised.body, raised.message]
    return {"chunks": chunks, "error": error}


def is_usage_alone(chunk: dict) -> bool:
    return chunk.get("choices") == [] and chunk.get("usage") is not None


ASKED = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("name", recordings())
def test_a_recording_is_the_same_through_the_gateway(direct: OpenAI, through: OpenAI, name: str) -> None:
    seeds = random.Random(f"{SEED} {name}")
    wanted = outcome(direct, "played-model", {"play": name, "seed": 0}, **ASKED)
    assert wanted["chunks"] or wanted["error"], "the recording itself says nothing"
    for _ in range(CUTS):
        seed = seeds.randrange(1 << 32)
        print(f"TOKENWAY_SEED={SEED}, cut seed {seed}")
        assert outcome(through, "played", {"play": name, "seed": seed}, **ASKED) == wanted


@pytest.mark.parametrize("name", recordings())
def test_who_did_not_ask_for_usage_gets_all_but_its_chunk(direct: OpenAI, through: OpenAI, name: str) -> None:
    wanted = outcome(direct, "played-model", {"play": name, "seed": SEED})
    wanted["chunks"] = [chunk for chunk in wanted["chunks"] if not is_usage_alone(chunk)]
    assert outcome(through, "played", {"play": name, "seed": SEED}) == wanted


def test_the_recordings_are_what_they_should_be(direct: OpenAI) -> None:
    names = recordings()
    assert len(names) >= 5
    status, content_type, body = load("streams/text-crlf-comments")
    assert (status, content_type) == (200, "text/event-stream") and body.count(b"\r\n") == body.count(b"\n")


def test_a_whole_answer_passes_untouched(direct: OpenAI, through: OpenAI) -> None:
    messages = [{"role": "user", "content": json.dumps({"play": "whole"})}]
    plain = direct.chat.completions.with_raw_response.create(model="played-model", messages=messages)
    passed = through.chat.completions.with_raw_response.create(model="played", messages=messages)
    assert passed.content == plain.content


def test_embeddings_are_passed_through(direct: OpenAI, through: OpenAI) -> None:
    def ask(client: OpenAI) -> dict:
        return client.embeddings.create(model="embedder", input="a river", encoding_format="float").model_dump()

    assert ask(through) == ask(direct)


class Raw:
    """Every event of a dialect's stream, with all its members, as its SDK gives them."""

    def responses(self, app, model: str, wish: dict):
        return app.client.responses.create(model=model, input=app.user(json.dumps(wish)), stream=True)

    def anthropic(self, app, model: str, wish: dict):
        history = app.user(json.dumps(wish))
        return app.client.messages.create(model=model, messages=history, max_tokens=64, stream=True)

    def gemini(self, app, model: str, wish: dict):
        return app.client.models.generate_content_stream(model=model, contents=app.user(json.dumps(wish)))


def seen_by(app, model: str, wish: dict) -> dict:
    events: list[dict] = []
    try:
        for event in getattr(Raw(), app.name)(app, model, wish):
            # Headers are HTTP's, not the stream's.
            events.append(event.model_dump(mode="json", exclude={"sdk_http_response"}))
    except app.any_error as raised:
        return {"events": events, "error": [type(raised).__name__, str(raised)]}
    return {"events": events, "error": None}


def lacks_its_last_line(name: str) -> bool:
    body = load(name)[2]
    return body.startswith((b"event:", b"data:")) and not body.endswith((b"\n\n", b"\r\n\r\n"))


OTHERS = [(dialect, name) for dialect in ("responses", "anthropic", "gemini") for name in recordings(dialect)]
ALL = OTHERS + [("openai", name) for name in recordings() if not name.startswith("streams/")]


@pytest.mark.parametrize(("dialect", "name"), OTHERS)
def test_a_recording_of_any_dialect_is_the_same_through_the_gateway(
    player, front, dialect: str, name: str
) -> None:
    (kind,) = [app for app in APPS if app.name == dialect]
    wanted = seen_by(kind(player.origin), "played-model", {"play": name, "seed": 0})
    assert wanted["events"] or wanted["error"], "the recording itself says nothing"
    seeds = random.Random(f"{SEED} {name}")
    for _ in range(CUTS):
        seed = seeds.randrange(1 << 32)
        print(f"TOKENWAY_SEED={SEED}, cut seed {seed}")
        seen = seen_by(front(dialect), dialect, {"play": name, "seed": seed})
        if lacks_its_last_line(name) and len(seen["events"]) > len(wanted["events"]):
            # An SDK overlooks an event without its empty line; the gateway reads it and writes it whole.
            seen["events"].pop()
        assert seen == wanted


@pytest.mark.parametrize(("dialect", "name"), ALL)
def test_a_recording_comes_to_what_the_sdk_made_of_it(through_url: str, dialect: str, name: str) -> None:
    wanted = expected(name)
    (kind,) = [app for app in APPS if app.name == dialect]
    app = kind(through_url)
    app.strict = False
    history = app.user(json.dumps({"play": name, "seed": SEED}))
    if wanted["error"]:
        with pytest.raises(app.any_error):
            app.ask(dialect, history, True)
        return
    answer = app.ask(dialect, history, True)
    assert answer.text in (wanted["text"], wanted.get("text_from_deltas"))
    wanted_calls = [(call["name"], arguments(call["arguments"])) for call in wanted["tool_calls"]]
    # What a token limit cut, Anthropic's SDK reads as far as it goes. Arguments in patches no SDK puts together; that they
    # are what the provider sent, `test_a_recording_of_any_dialect_is_the_same_through_the_gateway` shows.
    if getattr(app, "in_patches", False):
        assert [name for _, name, _ in answer.calls if name] == [name for name, _ in wanted_calls]
    elif not any(isinstance(cut, str) for _, cut in wanted_calls):
        assert [call[1:] for call in answer.calls] == wanted_calls
    if wanted["usage"] and answer.usage:
        assert answer.usage[2] == (wanted["usage"]["cached_input"] or 0)
