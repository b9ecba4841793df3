"""What goes wrong raises the SDK's own exceptions, and nothing that went wrong looks like success."""

from __future__ import annotations

import json
import time

import httpx2
import openai
import pytest
from conftest import sdk
from openai import OpenAI
from player import Player

ASK = [{"role": "user", "content": "Fail."}]
FAST = {"tokens_per_second": 2000, "first_token_ms": 0}
STATUSES = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
]


def wish(**what) -> list[dict]:
    return [{"role": "user", "content": json.dumps(what)}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "exception"), STATUSES)
def test_a_status_becomes_its_exception(demo: OpenAI, status: int, exception: type, stream: bool) -> None:
    with pytest.raises(exception) as raised:
        demo.chat.completions.create(
            model="fails-at-once", messages=ASK, stream=stream, extra_body={"simulator": {"status": status}}
        )
    assert raised.value.status_code == status
    assert raised.value.body["message"]


@pytest.mark.parametrize(("status", "exception"), STATUSES)
def test_a_providers_error_says_the_same_through_the_gateway(
    direct: OpenAI, through: OpenAI, status: int, exception: type
) -> None:
    bodies = []
    for client, model in ((direct, "played-model"), (through, "played")):
        with pytest.raises(exception) as raised:
            client.chat.completions.create(model=model, messages=wish(status=status), stream=True)
        bodies.append((raised.value.status_code, raised.value.body))
    assert bodies[0] == bodies[1]


def test_a_rate_limit_says_when_to_come_back(demo: OpenAI, through: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        demo.chat.completions.create(
            model="fails-at-once", messages=ASK, extra_body={"simulator": {"status": 429, "retry_after": 17}}
        )
    assert raised.value.response.headers["retry-after"] == "17"
    with pytest.raises(openai.RateLimitError) as raised:
        through.chat.completions.create(model="played", messages=wish(status=429, retry_after=23))
    assert raised.value.response.headers["retry-after"] == "23"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(demo: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        demo.chat.completions.create(model="no-such-model", messages=ASK, stream=stream)
    assert "no-such-model" in raised.value.body["message"]


def test_an_error_in_the_middle_is_raised_after_what_was_said(demo: OpenAI) -> None:
    said = 0
    with pytest.raises(openai.APIError) as raised:
        for chunk in demo.chat.completions.create(
            model="fails-midway", messages=ASK, stream=True, extra_body={"simulator": {**FAST, "at": 9}}
        ):
            said += bool(chunk.choices[0].delta.content)
            assert chunk.choices[0].finish_reason is None
    assert said == 9
    assert raised.value.message


def test_a_cut_stream_is_never_a_success(demo: OpenAI) -> None:
    said = 0
    # Either the gateway's own error, or a body that breaks off; an end in silence would end the loop.
    with pytest.raises((openai.APIError, httpx2.RemoteProtocolError)):
        for chunk in demo.chat.completions.create(
            model="cut", messages=ASK, stream=True, extra_body={"simulator": {**FAST, "at": 9}}
        ):
            said += bool(chunk.choices and chunk.choices[0].delta.content)
            assert all(choice.finish_reason is None for choice in chunk.choices)
    assert said == 9


@pytest.mark.parametrize("cleanly", [False, True])
@pytest.mark.parametrize("stop", [0.1, 0.5, 0.8])
def test_a_provider_that_breaks_off_is_never_a_success(through: OpenAI, stop: float, cleanly: bool) -> None:
    name = "streams/two-choices-two-tools"
    # At 0.8 one choice has its reason and the other has none.
    finished = set()
    with pytest.raises((openai.APIError, httpx2.RemoteProtocolError)):
        for chunk in through.chat.completions.create(
            model="played", messages=wish(play=name, stop=stop, cleanly=cleanly), stream=True
        ):
            finished |= {choice.index for choice in chunk.choices if choice.finish_reason}
    assert finished != {0, 1}


def test_a_whole_answer_that_is_cut_is_never_a_success(demo: OpenAI) -> None:
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        demo.chat.completions.create(model="cut", messages=ASK, extra_body={"simulator": FAST})


def test_a_client_that_goes_ends_the_call_at_the_provider(through: OpenAI, player: Player) -> None:
    messages = wish(drip=20, mark="gone")
    stream = through.chat.completions.create(model="played", messages=messages, stream=True)
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()
    (request,) = [seen for seen in player.seen if (seen["body"] or {}).get("messages") == messages]
    until = time.monotonic() + 10
    while request["ended"] != "peer gone":
        assert time.monotonic() < until, "the provider was still asked for tokens after 10 s"
        time.sleep(0.02)


def test_the_apps_key_stays_with_the_gateway(through: OpenAI, player: Player) -> None:
    messages = wish(play="streams/unknown-members", mark="keys")
    list(through.chat.completions.create(model="played", messages=messages, stream=True))
    (request,) = [seen for seen in player.seen if (seen["body"] or {}).get("messages") == messages]
    assert request["headers"]["authorization"] == "Bearer sk-of-the-gateway"
    assert "sk-of-the-app" not in json.dumps(request)
    assert request["body"]["model"] == "played-model"
