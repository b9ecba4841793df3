"""What only Responses has: an answer that outlives its caller, whoever the provider is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid

import openai
import pytest
from conftest import sdk
from openai import OpenAI
from player import Player
from providers import DIALECTS

dialects = pytest.mark.parametrize("dialect", DIALECTS)
COUNT = 60
# Three letters for each delta, of which the player makes COUNT.
WHOLE = "dri" * COUNT

# An app in a process of its own, so that it can be killed.
CALLER = """
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="sk-of-the-app", max_retries=0)
for event in client.responses.create(model=sys.argv[2], input=sys.argv[3], stream=True, background=True):
    print(getattr(event, "response", None) and event.response.id, event.sequence_number, event.type, flush=True)
"""


@pytest.fixture(scope="module")
def lasting(draining_url: str) -> OpenAI:
    return sdk(f"{draining_url}/v1")


def drip(**more) -> str:
    return json.dumps({"drip": 20, "count": COUNT, "mark": uuid.uuid4().hex, **more})


def text_of(events: list) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


@dialects
def test_an_answer_goes_on_after_its_caller_was_killed(lasting: OpenAI, draining_url: str, dialect: str) -> None:
    wish = drip()
    arguments = [sys.executable, "-c", CALLER, f"{draining_url}/v1", dialect, wish]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as caller:
        seen = [caller.stdout.readline().split() for _ in range(12)]
        caller.kill()
    id, last = seen[0][0], int(seen[-1][1])
    assert [int(number) for _, number, _ in seen] == list(range(12))

    rest = list(lasting.responses.retrieve(id, stream=True, starting_after=last))
    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text == WHOLE

    again = list(lasting.responses.retrieve(id, stream=True))
    assert text_of(again) == WHOLE
    assert again[last + 1 :] == rest, "what was replayed once is replayed the same"
    assert [event.type for event in again[:12]] == [kind for _, _, kind in seen]


@dialects
def test_an_answer_in_the_background_can_be_polled(lasting: OpenAI, dialect: str) -> None:
    response = lasting.responses.create(model=dialect, input=drip(), background=True)
    assert response.status in ("queued", "in_progress")
    until = time.monotonic() + 20
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.1)
        response = lasting.responses.retrieve(response.id)
    assert (response.status, response.output_text) == ("completed", WHOLE)
    assert response.usage.input_tokens == 25


@dialects
def test_an_answer_in_the_background_can_be_cancelled(lasting: OpenAI, player: Player, dialect: str) -> None:
    wish = drip(count=1_000)
    response = lasting.responses.create(model=dialect, input=wish, background=True)
    until = time.monotonic() + 20
    while not lasting.responses.retrieve(response.id).output_text:
        assert time.monotonic() < until, "nothing was said"
        time.sleep(0.05)
    assert lasting.responses.cancel(response.id).status == "cancelled"
    assert lasting.responses.retrieve(response.id).status == "cancelled"
    assert lasting.responses.cancel(response.id).status == "cancelled", "again is no error"
    mark = json.loads(wish)["mark"]
    (request,) = [seen for seen in player.seen if (seen.get("wish") or {}).get("mark") == mark]
    while request["ended"] != "peer gone":
        assert time.monotonic() < until, "the provider was still asked for tokens"
        time.sleep(0.02)


@dialects
def test_a_conversation_goes_on_from_an_earlier_answer(lasting: OpenAI, player: Player, dialect: str) -> None:
    mark = uuid.uuid4().hex
    turns = [[{"text": "The Rhine is long."}], [{"text": "1233 km."}]]
    first = lasting.responses.create(model=dialect, input=json.dumps({"mark": mark, "turns": turns}))
    second = lasting.responses.create(model=dialect, input="How long?", previous_response_id=first.id)
    assert second.output_text == "1233 km."
    assert second.previous_response_id == first.id
    _, request = [seen for seen in player.seen if (seen.get("wish") or {}).get("mark") == mark]
    sent = json.dumps(request["body"])
    assert sent.index(mark) < sent.index("The Rhine is long.") < sent.index("How long?")


@dialects
def test_an_answer_that_was_deleted_is_gone(lasting: OpenAI, dialect: str) -> None:
    response = lasting.responses.create(model=dialect, input=json.dumps({"turns": [[{"text": "Hi"}]]}))
    assert lasting.responses.retrieve(response.id).output_text == "Hi"
    lasting.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        lasting.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        lasting.responses.retrieve("resp_that_never_was")


@dialects
def test_an_answer_that_is_not_to_be_stored_is_not_found(lasting: OpenAI, dialect: str) -> None:
    response = lasting.responses.create(model=dialect, input=json.dumps({"turns": [[{"text": "Hi"}]]}), store=False)
    assert response.output_text == "Hi"
    with pytest.raises(openai.BadRequestError, match="not found"):
        lasting.responses.create(model=dialect, input="And?", previous_response_id=response.id)
