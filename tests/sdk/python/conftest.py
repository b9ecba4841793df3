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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

sys.path.insert(0, str(Path(__file__).parent.parent))
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
  player: {{ dialect: openai, base_url: "{url}", api_key: sk-of-the-gateway }}
models:
  played: {{ targets: [ {{ provider: player, model: played-model }} ] }}
  embedder: {{ targets: [ {{ provider: player, model: embedder }} ] }}
channels:
  on_disconnect: {{ policy: cancel }}
"""


@pytest.fixture(scope="session")
def through(player: Player, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """The SDK before a gateway whose only provider is the player."""
    config = tmp_path_factory.mktemp("played") / "tokenway.yaml"
    config.write_text(PLAYED.format(url=player.url))
    with gateway("serve", "--config", str(config)) as url:
        yield sdk(f"{url}/v1")
