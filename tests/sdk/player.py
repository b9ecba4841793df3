"""An OpenAI-like provider on a raw socket that plays recorded streams, cut into random pieces.

The last message of a request says what to do, as JSON, so the wish comes through any gateway:

    {"play": "openai-chat/n2-choices", "seed": 7}     the recording, its bytes cut at random
    {"play": …, "stop": 0.5}                          break the connection after half of the bytes
    {"play": …, "stop": 0.5, "cleanly": true}         end the body there as if it were whole
    {"status": 429, "retry_after": 3}                 an HTTP error in OpenAI's form
    {"drip": 20}                                      a token every 20 ms until the peer goes

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

HERE = Path(__file__).parent
NAMES = {400: "invalid_request_error", 401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
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


def recordings() -> list[str]:
    """The names of all OpenAI Chat streams and errors that can be played here."""
    found = [f"streams/{path.stem}" for path in (HERE / "streams").glob("*.sse")]
    outside = os.environ.get("TOKENWAY_TRANSCRIPTS")
    for dialect in ("openai-chat", "openai-compatible") if outside else ():
        for path in Path(outside, dialect).iterdir():
            if path.suffix in (".sse", ".err"):
                found.append(f"{dialect}/{path.stem}")
    return sorted(found)


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
        self.url = f"http://127.0.0.1:{self.port}/v1"
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
        path, body = request["path"].removeprefix("/v1"), request["body"]
        if path == "/embeddings":
            vector = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}
            usage = {"prompt_tokens": 2, "total_tokens": 2}
            respond(connection, 200, {"object": "list", "data": [vector], "model": body["model"], "usage": usage})
            return True
        if path != "/chat/completions":
            respond(connection, 404, error(404, f"no such path: {path}"))
            return True
        wish = json.loads(body["messages"][-1]["content"])
        if "status" in wish:
            more = [f"retry-after: {wish['retry_after']}"] if "retry_after" in wish else []
            respond(connection, wish["status"], error(wish["status"], "as you wished"), more)
            return True
        if "drip" in wish:
            drip(connection, wish["drip"] / 1000)
        if not body.get("stream"):
            respond(connection, 200, COMPLETION)
            return True
        return play(connection, wish)


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


def error(status: int, message: str) -> dict:
    return {"error": {"message": message, "type": NAMES.get(status, "server_error"), "param": None, "code": None}}


def begin(connection: socket.socket, status: int = 200, content_type: str = "text/event-stream") -> None:
    head = f"HTTP/1.1 {status} As-It-Is\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.sendall(head.encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def play(connection: socket.socket, wish: dict) -> bool:
    """Sends a recording, its bytes cut where the seed says; whether the connection lives on."""
    status, content_type, body = load(wish["play"])
    begin(connection, status, content_type)
    cut = random.Random(wish.get("seed", 0))
    end = int(len(body) * wish.get("stop", 1))
    at = 0
    while at < end:
        size = min(cut.choice((1, 2, 3, 7, 40, 300, 2000)), end - at)
        connection.sendall(chunk(body[at : at + size]))
        at += size
        # Now and then a pause lets the peer read what it has, so that the cuts are cuts for it too.
        if cut.random() < 0.1:
            time.sleep(0.001)
    if end < len(body) and not wish.get("cleanly"):
        return False
    connection.sendall(b"0\r\n\r\n")
    return True


def drip(connection: socket.socket, every: float) -> None:
    begin(connection)
    while True:
        choice = {"index": 0, "delta": {"content": "drip "}, "finish_reason": None}
        data = {"id": "chatcmpl-drip", "object": "chat.completion.chunk", "created": 1, "model": "drip", "choices": [choice]}
        connection.sendall(chunk(f"data: {json.dumps(data)}\n\n".encode()))
        time.sleep(every)


if __name__ == "__main__":
    player = Player()
    print(json.dumps({"port": player.port, "recordings": recordings()}), flush=True)
    # Ends with the program that started it, which holds the other end.
    sys.stdin.read()
