"""Every snippet of the documentation, run as it stands: only the addresses and what is made up in it are put right."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import free_port, gateway

ROOT = Path(__file__).parents[3]
SDK = ROOT / "tests/sdk"
PAGES = [
    *[ROOT / name for name in ["README.md", "CONTRIBUTING.md", "client/README.md"]],
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
# `client/test/docs.test.ts` checks these.
ELSEWHERE = {"ts", "tsx"}

ADMIN = "admin-key-0123456789"
# What snippets take from the environment.
ENVIRONMENT = {
    "WEB_KEY": "web-key-0123456789",
    "TOKENWAY_TOKEN_SECRET": "a-secret-of-thirty-two-bytes-or-more",
    "TOKENWAY_ADMIN_KEY": ADMIN,
    **{
        name: f"sk-of-nobody-{name}"
        for name in ["OPENAI_API_KEY", "OPENAI_API_KEY_2", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "COLLECTOR_KEY"]
    },
}
SIMULATED = """\
version: 1
providers: { sim: { dialect: simulator, tokens_per_second: 500 } }
models:
  chat: { targets: [{ provider: sim, model: sim-text }] }
  gpt-5-mini: { targets: [{ provider: sim, model: sim-text }] }
  sim-long: { targets: [{ provider: sim, model: sim-long }] }
"""
KEYED = """\
access:
  keys: [{ name: web, key: "${WEB_KEY}" }]
  token_secret: "${TOKENWAY_TOKEN_SECRET}"
  admin_key: "${TOKENWAY_ADMIN_KEY}"
"""
# Commands as a shell finds them here. What never ends by itself is watched for a while, and is right if it has said something.
PRELUDE = """\
set -euo pipefail
watched() { local said; said=$(timeout 4 "$@") || [ $? = 124 ]; [ -n "$said" ]; echo "$said"; }
serving() {
  "$TOKENWAY_BIN" "$@" --http "127.0.0.1:$HTTP_PORT" --webtransport "127.0.0.1:$UDP_PORT" --state-dir . & local it=$!
  command curl -sSf --retry 50 --retry-connrefused --retry-delay 1 --retry-max-time 30 "http://127.0.0.1:$HTTP_PORT/readyz" || { kill $it; return 1; }
  kill $it; wait $it
}
tokenway() {
  case "$1" in
    demo | serve) serving "$@" ;;
    tail) watched "$TOKENWAY_BIN" "$@" ;;
    top) "$TOKENWAY_BIN" "$@" > top.txt && grep -q tokens/s top.txt ;;
    *) "$TOKENWAY_BIN" "$@" ;;
  esac
}
curl() { watched "$(type -P curl)" -sS --fail-with-body "$@"; }
cargo() {
  case "$1" in
    run) while [ "$1" != -- ]; do shift; done; shift; tokenway "$@" ;;
    build | xtask | test) ;; # how this suite itself came to be and runs
    *) echo "what is cargo $1?" >&2; return 1 ;;
  esac
}
npm() {
  case "$1" in
    ci) ls package-lock.json node_modules/.package-lock.json ;; # installed by this suite
    start) watched $(node -p 'require("./package.json").scripts.start') ;;
    *) echo "what is npm $1?" >&2; return 1 ;;
  esac
}
examples/cluster/run.sh() { watched "$(type -P examples/cluster/run.sh)"; }
"""


@dataclass
class Snippet:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def snippets() -> Iterator[Snippet]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
            yield Snippet(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


SNIPPETS = [one for one in snippets() if one.language not in ELSEWHERE]


@pytest.fixture(scope="module")
def open_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway without keys."""
    config = tmp_path_factory.mktemp("open") / "tokenway.yaml"
    config.write_text(SIMULATED)
    with gateway("serve", "--config", str(config)) as url:
        yield url


@pytest.fixture(scope="module")
def keyed_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("keyed") / "tokenway.yaml"
    config.write_text(SIMULATED + KEYED)
    return config


@pytest.fixture(scope="module")
def keyed_url(keyed_config: Path) -> Iterator[str]:
    """A gateway with keys."""
    os.environ.update(ENVIRONMENT)
    with gateway("serve", "--config", str(keyed_config)) as url:
        yield url


def call(url: str, headers: dict[str, str]) -> dict:
    """Has something said, to its end."""
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Say something."}]}).encode()
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", body, {"content-type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def epoch(url: str) -> str:
    """The epoch of the channel `chat-42`, on which something is said before a snippet needs it: others delete it."""
    call(url, {"tokenway-channel": "chat-42"})
    with urllib.request.urlopen(f"{url}/v1/channels/chat-42", timeout=10) as response:
        return json.load(response)["epoch"]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_snippet_runs(snippet: Snippet, open_url: str, keyed_url: str, keyed_config: Path, tmp_path: Path) -> None:
    text = snippet.text.replace("http://localhost:8080", open_url).replace("https://gateway.example", keyed_url)
    # The second gateway of the cluster; that there are two is for `tests/cluster/example.rs`.
    text = text.replace("http://localhost:8081", open_url)
    match snippet.language:
        case "json":
            json.loads(text)
        case "yaml":
            check(text, tmp_path)
        case "python":
            run([sys.executable, "-c", text], tmp_path)
        case "js":
            run([str(SDK / "node_modules/.bin/node"), "--input-type=module", "-e", text], SDK)
        case "sh":
            (tmp_path / "tokenway.yaml").write_text(keyed_config.read_text())
            (tmp_path / "examples").symlink_to(ROOT / "examples")
            # What is made up: an epoch, and keys.
            text = re.sub(r"\b9f3a6c1e\b", epoch(open_url), text).replace("=…", "=sk-of-nobody")
            run(["bash", "-c", PRELUDE + text], tmp_path, TOKENWAY_URL=open_url)
        case "text":
            # What a program has shown; `test_top` captures it again.
            assert "tokens per second" in text and "CHANNEL " in text
        case other:
            pytest.fail(f"nobody runs `{other}`")


def run(command: list[str], cwd: Path, **more: str) -> None:
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    ports = {name: str(free_port(tcp)) for name in ["HTTP_PORT", "PORT", "NATS_PORT", "HTTP_A", "HTTP_B"]}
    ports |= {name: str(free_port(udp)) for name in ["UDP_PORT", "WEBTRANSPORT_A", "WEBTRANSPORT_B"]}
    more["TOKENWAY"] = os.environ["TOKENWAY_BIN"]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **ENVIRONMENT, **ports, **more}, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout or "xtask" in command[-1], "it says something"


def check(text: str, folder: Path) -> None:
    """A part of a config, completed by what every config has."""
    for needed, least in [
        ("version", "version: 1"),
        ("providers", "providers: { sim: { dialect: simulator } }"),
        ("models", "models: { fast: { targets: [{ provider: sim }] } }"),
    ]:
        if not re.search(rf"^{needed}:", text, re.M):
            text = f"{least}\n{text}"
    config = folder / "tokenway.yaml"
    config.write_text(text)
    run([os.environ["TOKENWAY_BIN"], "check", str(config)], folder)
