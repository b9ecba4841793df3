"""Recorded streams, their bytes cut at random: through the gateway the SDK gives exactly what it gives without it."""

from __future__ import annotations

import json
import random

import openai
import pytest
from conftest import SEED
from openai import OpenAI
from player import load, recordings

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
