"""A provider of any dialect on a raw socket: it plays recordings, or says what it is told, cut into random pieces.

The route says which dialect is spoken. The last text of a request that is a wish says what to do, as JSON, so the wish
comes through any gateway and any dialect:

    {"play": "openai-chat/n2-choices", "seed": 7}     the recording, its bytes cut at random
    {"play": …, "stop": 0.5}                          break the connection after half of the bytes
    {"play": …, "stop": 0.5, "cleanly": true}         end the body there as if it were whole
    {"turns": [[{"text": "Hi"}], …], "mark": "a"}     say these parts (see `providers`), for the mark's first call the first
    {"turns": …, "stop": 0.5}                         end the body there as if it were whole
    {"fail": [{"text": "Hi"}], "message": "…"}        say this, then an error in the stream
    {"status": 429, "retry_after": 3}                 an HTTP error in the dialect's form
    {"drip": 20}                                      a token every 20 ms until the peer goes
    {"drip": 20, "count": 50}                         a token every 20 ms, 50 times, and a good end

Recordings are `DIALECT/NAME` below TOKENWAY_TRANSCRIPTS, or `streams/NAME` beside this file. `GET /seen` answers the
requests so far and how each ended. Run as a program it prints its port.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from pathlib import Path

import providers

HERE = Path(__file__).parent
WISHES = {"play", "turns", "fail", "status", "drip"}
COMPLETION = {
    "id": "chatcmpl-whole",
    "object": "chat.completion",
    "created": 1_763_800_000,
    "model": "played-model",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A whole answer: “ß, 你好, 🎈”.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
    "x_unknown": {"kept": [1, 2.50, None]},
}


# Where a dialect's recordings are, as far as its official SDK reads them.
FOLDERS = {
    "openai": ("openai-chat", "openai-compatible"),
    "responses": ("openai-responses",),
    "anthropic": ("anthropic-messages",),
    "gemini": ("gemini",),
}


def recordings(dialect: str = "openai") -> list[str]:
    """The names of all streams and errors of a dialect that can be played here."""
    found = [f"streams/{path.stem}" for path in (HERE / "streams").glob("*.sse")] if dialect == "openai" else []
    outside = os.environ.get("TOKENWAY_TRANSCRIPTS")
    for folder in FOLDERS[dialect] if outside else ():
        for path in Path(outside, folder).iterdir():
            # A JSON array is what Gemini gives who does not ask for SSE, and its SDKs always do.
            if path.suffix in (".sse", ".err") and path.with_suffix(".expected.json").exists():
                found.append(f"{folder}/{path.stem}")
    return sorted(found)


def expected(name: str) -> dict:
    """What the official SDK makes of a recording."""
    return json.loads(Path(os.environ["TOKENWAY_TRANSCRIPTS"], f"{name}.expected.json").read_bytes())


def load(name: str) -> tuple[int, str, bytes]:
    """A recording's status, content type and body."""
    folder = HERE if name.startswith("streams/") else Path(os.environ["TOKENWAY_TRANSCRIPTS"])
    about = folder / f"{name}.json"
    http = json.loads(about.read_bytes())["http"] if about.exists() else {}
    body = next(path for path in (folder / f"{name}.sse", folder / f"{name}.err") if path.exists())
    return http.get("status", 200), http.get("content_type", "text/event-stream"), body.read_bytes()


class Player:
    """Listens on a loopback port of its own until `close`."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1"
        self.seen: list[dict] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as reader:
            try:
                while self._answer(connection, reader):
                    pass
            except (ConnectionError, TimeoutError):
                pass

    def _answer(self, connection: socket.socket, reader) -> bool:
        """Answers one request; whether the connection lives on."""
        request = read_request(reader)
        if request is None:
            return False
        if request["path"] == "/seen":
            respond(connection, 200, self.seen)
            return True
        self.seen.append(request)
        request["ended"] = "no"
        try:
            alive = self._act(connection, request)
        except (ConnectionError, TimeoutError):
            request["ended"] = "peer gone"
            raise
        request["ended"] = "answered"
        return alive

    def _act(self, connection: socket.socket, request: dict) -> bool:
        path, body = request["path"], request["body"]
        if path == "/v1/embeddings":
            vector = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}
            usage = {"prompt_tokens": 2, "total_tokens": 2}
            respond(connection, 200, {"object": "list", "data": [vector], "model": body["model"], "usage": usage})
            return True
        if path.split("?")[0] == "/v1/messages/count_tokens":
            respond(connection, 200, {"input_tokens": 25})
            return True
        dialect = providers.dialect_of(path)
        if dialect is None:
            respond(connection, 404, providers.error("openai", 404, f"no such path: {path}"))
            return True
        wish = wish_of(body)
        request["wish"] = wish
        if "status" in wish:
            more = [f"retry-after: {wish['retry_after']}"] if "retry_after" in wish else []
            respond(connection, wish["status"], providers.error(dialect, wish["status"], "as you wished"), more)
            return True
        if "drip" in wish:
            return drip(connection, dialect, wish)
        if "turns" in wish or "fail" in wish:
            return self._say(connection, request, dialect, wish)
        if not providers.wants_stream(dialect, path, body):
            respond(connection, 200, COMPLETION)
            return True
        return play(connection, wish)

    def _say(self, connection: socket.socket, request: dict, dialect: str, wish: dict) -> bool:
        """Says parts in the dialect of the route."""
        earlier = sum((seen.get("wish") or {}).get("mark") == wish.get("mark") for seen in self.seen) - 1
        parts = wish["fail"] if "fail" in wish else wish["turns"][min(earlier, len(wish["turns"]) - 1)]
        if not providers.wants_stream(dialect, request["path"], request["body"]):
            respond(connection, 200, providers.WHOLES[dialect](parts, "played-model"))
            return True
        said = list(providers.STREAMS[dialect](parts, "played-model"))
        if "fail" in wish:
            # What ends it well is left out: the reason, the usage, the terminator.
            said = said[: len(said) - ENDS[dialect]]
            said.append(providers.failure(dialect, 529, wish["message"], len(said)))
        begin(connection, 200, providers.CONTENT_TYPES.get(dialect, "text/event-stream"))
        body = b"".join(said)
        send_cut(connection, body[: int(len(body) * wish.get("stop", 1))], random.Random(wish.get("seed", 0)))
        connection.sendall(b"0\r\n\r\n")
        return True


# How many of a stream's last frames belong to its good end.
ENDS = {"openai": 3, "responses": 1, "anthropic": 2, "gemini": 1, "ollama": 1, "bedrock": 2}


def wish_of(value: object) -> dict:
    """The last text of a request that is a wish."""
    if isinstance(value, str):
        if value.startswith("{"):
            try:
                wish = json.loads(value)
            except ValueError:
                return {}
            return wish if WISHES & wish.keys() else {}
        return {}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [wish for each in inner if (wish := wish_of(each))]
    return found[-1] if found else {}


def read_request(reader) -> dict | None:
    """The next request of a connection; None where there is none."""
    line = reader.readline().decode().split()
    if len(line) < 2:
        return None
    headers = {}
    while (header := reader.readline().decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = reader.read(int(headers.get("content-length", 0)))
    return {"path": line[1], "headers": headers, "body": json.loads(body) if body else None}


def respond(connection: socket.socket, status: int, body: object, more: list[str] = []) -> None:
    content = json.dumps(body, ensure_ascii=False).encode()
    head = [f"HTTP/1.1 {status} As-It-Is", "content-type: application/json", f"content-length: {len(content)}", *more]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + content)


def begin(connection: socket.socket, status: int = 200, content_type: str = "text/event-stream") -> None:
    head = f"HTTP/1.1 {status} As-It-Is\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.sendall(head.encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def play(connection: socket.socket, wish: dict) -> bool:
    """Sends a recording, its bytes cut where the seed says; whether the connection lives on."""
    status, content_type, body = load(wish["play"])
    begin(connection, status, content_type)
    end = int(len(body) * wish.get("stop", 1))
    send_cut(connection, body[:end], random.Random(wish.get("seed", 0)))
    if end < len(body) and not wish.get("cleanly"):
        return False
    connection.sendall(b"0\r\n\r\n")
    return True


def send_cut(connection: socket.socket, body: bytes, cut: random.Random) -> None:
    """Sends bytes in pieces of random sizes."""
    at = 0
    while at < len(body):
        size = cut.choice((1, 2, 3, 7, 40, 300, 2000))
        connection.sendall(chunk(body[at : at + size]))
        at += size
        # Now and then a pause lets the peer read what it has, so that the cuts are cuts for it too.
        if cut.random() < 0.1:
            time.sleep(0.001)


def drip(connection: socket.socket, dialect: str, wish: dict) -> bool:
    """Says a token at a time; whether the connection lives on."""
    begin(connection, 200, providers.CONTENT_TYPES.get(dialect, "text/event-stream"))
    count = wish.get("count", 100_000)
    # Three letters are one delta.
    frames = list(providers.STREAMS[dialect]([{"text": "dri" * min(count, 2_000)}], "drip"))
    head = len(frames) - ENDS[dialect] if count > 2_000 else len(frames)
    for frame in frames[:head]:
        connection.sendall(chunk(frame))
        time.sleep(wish["drip"] / 1000)
    connection.sendall(b"0\r\n\r\n")
    return True


if __name__ == "__main__":
    player = Player()
    print(json.dumps({"port": player.port, "recordings": {each: recordings(each) for each in FOLDERS}}), flush=True)
    # Ends with the program that started it, which holds the other end.
    sys.stdin.read()
