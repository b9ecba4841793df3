"""Every SDK before every provider: whoever speaks what, the app gets the answer and the provider the question."""

from __future__ import annotations

import json
import time
import uuid

import pytest
import upstream
from apps import APPS, IMAGE, SCHEMA
from player import Player
from providers import DIALECTS

# Those that sign what they think, and want it back.
SIGNING = ("openai", "responses", "anthropic", "gemini", "bedrock")
# Standard base64, as all of them are; with the characters that other alphabets lack.
SIGNATURE = "c2lnbmVk+/+/YnkgdGhlIHByb3ZpZGVy"
TEXT = "Grüße aus 東京: “ß” 🎈 \\u0000 \"quoted\""
CALLS = [("call_1", "get_weather", {"city": "Köln"}), ("call_2", "get_weather", {"city": "São Paulo"})]

apps = pytest.mark.parametrize("app", [app.name for app in APPS])
dialects = pytest.mark.parametrize("dialect", DIALECTS)
signing = pytest.mark.parametrize("dialect", SIGNING)
streams = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def wish(app, **what) -> list:
    return app.user(json.dumps(what))


def said(call: tuple) -> dict:
    id, name, args = call
    return {"call": {"id": id, "name": name, "args": args}}


def requests(player: Player, mark: str, count: int) -> list[dict]:
    """The requests that a wish made of the provider."""
    found = [seen for seen in player.seen if (seen.get("wish") or {}).get("mark") == mark]
    assert len(found) == count
    return found


@apps
@dialects
@streams
def test_an_answer_is_what_the_provider_said(front, app: str, dialect: str, stream: bool, mark: str) -> None:
    app = front(app)
    answer = app.ask(dialect, wish(app, turns=[[{"text": TEXT}]], mark=mark), stream)
    assert answer.text == TEXT
    assert answer.finish == app.words["stop"]
    assert answer.usage[:2] == (25, 12)
    if dialect != "ollama":
        assert answer.usage[2] == 5


@apps
@dialects
@streams
def test_an_answer_that_was_cut_short_says_so(front, app: str, dialect: str, stream: bool, mark: str) -> None:
    app = front(app)
    answer = app.ask(dialect, wish(app, turns=[[{"text": "Once upon"}, {"finish": "length"}]], mark=mark), stream)
    assert (answer.text, answer.finish) == ("Once upon", app.words["length"])


@apps
@dialects
@streams
def test_tools_are_called_and_their_results_come_back(
    front, player: Player, app: str, dialect: str, stream: bool, mark: str
) -> None:
    app = front(app)
    turns = [[{"text": "I shall look."}, *map(said, CALLS)], [{"text": "Rain."}]]
    history = wish(app, turns=turns, mark=mark)
    first = app.ask(dialect, history, stream, tools=True)
    assert [call[1:] for call in first.calls] == [call[1:] for call in CALLS]
    ids = [call[0] for call in first.calls]
    if app.name != "gemini":
        assert all(ids) and len(set(ids)) == len(CALLS)
        if dialect not in ("gemini", "ollama"):
            assert ids == [call[0] for call in CALLS]
    assert first.finish == app.words["tool_calls"]

    second = app.ask(dialect, [*history, *first.turn, *app.results(first, ["rain-1", "sun-2"])], stream, tools=True)
    assert (second.text, second.finish) == ("Rain.", app.words["stop"])

    _, request = requests(player, mark, 2)
    calls, results = upstream.calls_and_results(dialect, request["body"])
    assert [call[1:] for call in calls] == [call[1:] for call in CALLS]
    assert [text for _, text in results] == ["rain-1", "sun-2"]
    names = [CALLS[0][1], CALLS[1][1]] if dialect in ("gemini", "ollama") else [call[0] for call in calls]
    assert [of for of, _ in results] == names, "each result answers its call"
    declared = json.dumps(request["body"].get("tools") or request["body"].get("toolConfig"))
    assert "get_weather" in declared and "city" in declared


@apps
@signing
@streams
def test_a_thought_goes_back_to_whoever_thought_it(
    front, player: Player, app: str, dialect: str, stream: bool, mark: str
) -> None:
    app = front(app)
    turns = [[{"think": "Let me see. 東京!", "sign": SIGNATURE}, said(CALLS[0])], [{"text": "Rain."}]]
    history = wish(app, turns=turns, mark=mark)
    first = app.ask(dialect, history, stream, tools=True, think=True)
    assert first.thinking == "Let me see. 東京!"
    second = app.ask(dialect, [*history, *first.turn, *app.results(first, ["rain-1"])], stream, tools=True, think=True)
    assert second.text == "Rain."
    _, request = requests(player, mark, 2)
    found = upstream.signatures(dialect, request["body"])
    assert upstream.same_signature(dialect, found, SIGNATURE), found


@apps
def test_a_thought_goes_to_nobody_else(front, player: Player, app: str, mark: str) -> None:
    app = front(app)
    turns = [[{"think": "Hm.", "sign": SIGNATURE}, said(CALLS[0])], [{"text": "Rain."}]]
    history = wish(app, turns=turns, mark=mark)
    first = app.ask("anthropic", history, True, tools=True, think=True)
    app.ask("gemini", [*history, *first.turn, *app.results(first, ["rain-1"])], True, tools=True, think=True)
    _, request = requests(player, mark, 2)
    assert upstream.signatures("gemini", request["body"]) == []
    assert json.dumps(request["body"]).count(SIGNATURE) == 1, "it is in the wish and nowhere else"


@apps
@dialects
@streams
def test_an_answer_takes_the_form_that_was_asked_for(
    front, player: Player, app: str, dialect: str, stream: bool, mark: str
) -> None:
    app = front(app)
    river = json.dumps({"name": "Rhein", "length_km": 1233})
    answer = app.ask(dialect, wish(app, turns=[[{"text": river}]], mark=mark), stream, schema=True)
    assert answer.text == river
    (request,) = requests(player, mark, 1)
    (schema,) = upstream.schemas(dialect, request["body"])
    assert schema["properties"] == SCHEMA["properties"]
    assert schema["required"] == SCHEMA["required"]


@apps
@dialects
def test_the_provider_sees_the_image(front, player: Player, app: str, dialect: str, mark: str) -> None:
    app = front(app)
    history = app.user(json.dumps({"turns": [[{"text": "A dot."}]], "mark": mark}), image=True)
    assert app.ask(dialect, history, True).text == "A dot."
    (request,) = requests(player, mark, 1)
    assert upstream.images(dialect, request["body"]) == [IMAGE]


@apps
@dialects
def test_an_app_that_goes_ends_the_call_at_the_provider(front, player: Player, app: str, dialect: str, mark: str) -> None:
    app = front(app)
    stream = app.begin(dialect, wish(app, drip=10, mark=mark))
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()
    (request,) = requests(player, mark, 1)
    until = time.monotonic() + 10
    while request["ended"] != "peer gone":
        assert time.monotonic() < until, "the provider was still asked for tokens after 10 s"
        time.sleep(0.02)


@apps
@dialects
@streams
@pytest.mark.parametrize("status", [400, 401, 429, 529])
def test_an_error_is_the_apps_own_exception(front, app: str, dialect: str, stream: bool, status: int) -> None:
    app = front(app)
    with pytest.raises(app.errors[status]) as raised:
        app.ask(dialect, wish(app, status=status), stream)
    assert app.status(raised.value) == status
    if status != 401:
        assert "as you wished" in str(raised.value)


@apps
@dialects
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_error_in_the_middle_is_raised(front, app: str, dialect: str, stream: bool) -> None:
    app = front(app)
    if not stream and app.name == dialect:
        stream = True
    with pytest.raises(app.any_error) as raised:
        app.ask(dialect, wish(app, fail=[{"text": "So far"}], message="the provider is tired"), stream)
    assert "the provider is tired" in str(raised.value)


@apps
@pytest.mark.parametrize("stop", [0.3, 0.7])
@dialects
def test_a_provider_that_breaks_off_is_never_a_success(front, app: str, dialect: str, stop: float, mark: str) -> None:
    app = front(app)
    with pytest.raises(Exception) as raised:
        app.ask(dialect, wish(app, turns=[[{"text": "A long answer. " * 20}]], stop=stop, mark=mark), True)
    assert not isinstance(raised.value, AssertionError)
