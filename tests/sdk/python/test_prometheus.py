"""A real Prometheus scrapes a gateway as `deploy/prometheus/` says, and answers every question of the Grafana dashboard."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port, gateway, sdk
from openai import APIError

DEPLOY = Path(__file__).parents[3] / "deploy"
APP, ADMIN = "web-key-0123456789", "admin-key-0123456789"
CONFIG = f"""\
version: 1
providers: {{ sim: {{ dialect: simulator, tokens_per_second: 500 }} }}
models: {{ chat: {{ targets: [{{ provider: sim, model: sim-text }}] }}, broken: {{ targets: [{{ provider: sim, model: sim-cut }}] }} }}
access:
  keys: [{{ name: web, key: {APP} }}]
  token_secret: a-secret-of-thirty-two-bytes-or-more
  admin_key: {ADMIN}
"""
# What Grafana puts in place of a dashboard's variables where nobody has chosen.
VARIABLES = {"$__rate_interval": "30s", "$instance": ".*", "$provider": ".*", "$model": ".*"}
SCRAPES_SECONDS = 60


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> dict:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as response:
            return json.load(response)["data"]

    def ask(self, expression: str) -> list[dict]:
        """The series that answer it. A question that is none is an HTTP error."""
        try:
            return self.get("query", query=expression)["result"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{expression}: {error.read().decode()}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has scraped a gateway that works."""
    program = shutil.which("prometheus")
    assert program, "the Debian package `prometheus` is missing; `cargo xtask test` installs it"
    folder = tmp_path_factory.mktemp("prometheus")
    config, key = folder / "tokenway.yaml", folder / "admin-key"
    config.write_text(CONFIG)
    key.write_text(ADMIN)
    with gateway("serve", "--config", str(config), "--state-dir", str(folder)) as app:
        scrape = (DEPLOY / "prometheus/tokenway.yaml").read_text()
        for told, here in [
            ("scheme: https", "scheme: http"),
            ("/etc/prometheus/tokenway-admin-key", str(key)),
            ("gateway.example", app.removeprefix("http://")),
        ]:
            assert told in scrape
            scrape = scrape.replace(told, here)
        (folder / "prometheus.yml").write_text(f"global: {{ scrape_interval: 1s }}\n{scrape}")
        address = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
                "--log.level=error",
            ]
        )
        try:
            yield filled(Prometheus(f"http://{address}"), app)
        finally:
            process.terminate()
            process.wait(15)


def filled(prometheus: Prometheus, app: str) -> Prometheus:
    """Has things said, and broken off, until Prometheus has seen tokens pass."""
    client = sdk(f"{app}/v1", APP)
    until = time.monotonic() + SCRAPES_SECONDS
    while True:
        assert time.monotonic() < until, f"nothing was scraped: {targets(prometheus)}"
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Say something."}])
        with pytest.raises(APIError):
            client.chat.completions.create(model="broken", messages=[{"role": "user", "content": "Break."}])
        try:
            if prometheus.ask("sum(rate(tokenway_deltas_total[30s])) > 0"):
                return prometheus
        except urllib.error.URLError:
            time.sleep(0.1)  # it has not begun yet


def targets(prometheus: Prometheus) -> list[dict]:
    return prometheus.get("targets")["activeTargets"]


def expressions(value: object) -> Iterator[str]:
    """Every `expr` of a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("expr"), str):
            yield value["expr"]
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from expressions(member)


def test_it_scrapes_as_the_deployment_says(prometheus: Prometheus) -> None:
    assert [(one["health"], one["lastError"]) for one in targets(prometheus)] == [("up", "")]
    metadata = prometheus.get("metadata")
    ours = {name: told[0] for name, told in metadata.items() if name.startswith("tokenway_")}
    assert len(ours) > 15
    assert all(told["help"] and told["type"] in {"counter", "gauge", "histogram"} for told in ours.values())


def test_it_answers_every_question_of_the_dashboard(prometheus: Prometheus) -> None:
    dashboard = json.loads((DEPLOY / "grafana/tokenway.json").read_text())
    questions = list(expressions(dashboard))
    for name, value in VARIABLES.items():
        questions = [question.replace(name, value) for question in questions]
    assert not [question for question in questions if re.search(r"\$[a-z_{]", question)], "a variable nobody gives"
    answered = {question: bool(prometheus.ask(question)) for question in questions}
    silent = [question for question, answer in answered.items() if not answer]
    # Nothing came back, nothing was spent, no viewer was there: their questions have no answer yet.
    assert len(silent) < len(answered) / 2, silent
    for needed in ["tokenway_deltas_total", "tokenway_time_to_first_token_seconds", "tokenway_generations_ended_total"]:
        assert any(needed in question for question, answer in answered.items() if answer), needed
