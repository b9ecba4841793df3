"""Gateways to test against: the program that TOKENWAY_BIN names, on loopback ports of its own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

sys.path.insert(0, str(Path(__file__).parent.parent))
from apps import APPS  # noqa: E402
from player import Player  # noqa: E402

# What random trials derive from; set it to repeat a run.
SEED = int(os.environ.get("TOKENWAY_SEED") or random.randrange(1 << 32))
READY_SECONDS = 20


def pytest_report_header() -> list[str]:
    return [f"TOKENWAY_SEED={SEED}", f"transcripts: {'yes' if 'TOKENWAY_TRANSCRIPTS' in os.environ else 'only our own'}"]


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def gateway(*arguments: str) -> Iterator[str]:
    """Runs the gateway; yields its URL once it is ready."""
    program = os.environ.get("TOKENWAY_BIN")
    if program is None:
        missing = "TOKENWAY_BIN does not name a gateway"
        pytest.fail(missing) if os.environ.get("TOKENWAY_NOTHING_SKIPPED") else pytest.skip(missing)
    url = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    webtransport = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    process = subprocess.Popen([program, *arguments, "--http", url[7:], "--webtransport", webtransport])
    try:
        wait_ready(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def wait_ready(process: subprocess.Popen, url: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, f"the gateway ended with {process.returncode} before it was ready"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < until, f"the gateway was not ready after {READY_SECONDS} s"
            time.sleep(0.02)


def sdk(base_url: str, key: str = "sk-of-the-app") -> OpenAI:
    """The official SDK as an app has it: only the base URL is ours. Retries would hide what a test looks for."""
    return OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def demo() -> Iterator[OpenAI]:
    """The SDK before the built-in simulator."""
    with gateway("demo") as url:
        yield sdk(f"{url}/v1")


@pytest.fixture(scope="session")
def player() -> Iterator[Player]:
    """A provider that plays recordings."""
    player = Player()
    yield player
    player.close()


@pytest.fixture(scope="session")
def direct(player: Player) -> OpenAI:
    """The SDK before the player itself."""
    return sdk(player.url)


PLAYED = """
version: 1
providers:
  player: {{ dialect: openai, base_url: "{url}/v1", api_key: sk-of-the-gateway }}
  openai: {{ dialect: openai, base_url: "{url}/v1", api_key: sk-of-the-gateway }}
  responses: {{ dialect: responses, base_url: "{url}/v1", api_key: sk-of-the-gateway }}
  anthropic: {{ dialect: anthropic, base_url: "{url}", api_key: sk-of-the-gateway }}
  gemini: {{ dialect: gemini, base_url: "{url}", api_key: sk-of-the-gateway }}
  ollama: {{ dialect: ollama, base_url: "{url}" }}
  bedrock: {{ dialect: bedrock, base_url: "{url}", api_key: sk-of-the-gateway }}
models:
  played: {{ targets: [ {{ provider: player, model: played-model }} ] }}
  embedder: {{ targets: [ {{ provider: player, model: embedder }} ] }}
  openai: {{ targets: [ {{ provider: openai, model: played-model }} ] }}
  responses: {{ targets: [ {{ provider: responses, model: played-model }} ] }}
  anthropic: {{ targets: [ {{ provider: anthropic, model: played-model }} ] }}
  gemini: {{ targets: [ {{ provider: gemini, model: played-model }} ] }}
  ollama: {{ targets: [ {{ provider: ollama, model: played-model }} ] }}
  bedrock: {{ targets: [ {{ provider: bedrock, model: played-model }} ] }}
channels:
  on_disconnect: {{ policy: {policy} }}
"""


@contextmanager
def played(player: Player, folder: Path, policy: str) -> Iterator[str]:
    """A gateway whose every provider is the player, in a dialect each; each dialect is a model's name."""
    config = folder / "tokenway.yaml"
    config.write_text(PLAYED.format(url=player.origin, policy=policy))
    with gateway("serve", "--config", str(config)) as url:
        yield url


@pytest.fixture(scope="session")
def through_url(player: Player, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that stops a call whose app has gone."""
    with played(player, tmp_path_factory.mktemp("played"), "cancel") as url:
        yield url


@pytest.fixture(scope="session")
def draining_url(player: Player, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that goes on with a call whose app has gone."""
    with played(player, tmp_path_factory.mktemp("draining"), "drain") as url:
        yield url


@pytest.fixture(scope="session")
def through(through_url: str) -> OpenAI:
    """OpenAI's SDK before the gateway that plays."""
    return sdk(f"{through_url}/v1")


@pytest.fixture(scope="session")
def front(through_url: str) -> Callable[[str], object]:
    """The app of a dialect, before the gateway that plays."""
    made = {app.name: app(through_url) for app in APPS}
    return made.__getitem__
