"""`tokenway top` on a real terminal, while many answers run: what an operator sees is captured, and it moves."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

import pyte
from conftest import gateway, sdk

COLUMNS, LINES = 120, 40
CAPTURES = Path(__file__).parents[3] / "target" / "screenshots"
SEES_WITHIN_SECONDS = 20


class Terminal:
    """A program on a terminal of its own, and what stands on its screen."""

    def __init__(self, *command: str) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def until(self, shows: str) -> str:
        """Reads until the screen shows this, and gives the screen."""
        until = time.monotonic() + SEES_WITHIN_SECONDS
        while not re.search(shows, self.text()):
            assert time.monotonic() < until, f"no {shows!r} on the screen:\n{self.text()}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.stream.feed(os.read(self.master, 1 << 16))
        return self.text()

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def test_top_shows_what_runs_and_leaves_the_terminal_as_it_was() -> None:
    with gateway("demo") as url:
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                with sdk(f"{url}/v1").chat.completions.create(
                    model="novel", messages=[{"role": "user", "content": "go"}], stream=True
                ) as chunks:
                    for _ in chunks:
                        if stop.is_set():
                            return

        apps = [threading.Thread(target=answer) for _ in range(6)]
        for app in apps:
            app.start()
        terminal = Terminal(os.environ["TOKENWAY_BIN"], "top", "--url", url)
        try:
            # Six answers run, their tokens are counted and drawn, and how long they take is known.
            terminal.until(r"\n\s*\d+\s+6\s")
            terminal.until(r"(?s)p95 \d.*p99 \d.*peak [1-9].*simulator +simulator.*novel")
            # And they move.
            screen = terminal.until(r"up [6-9] s")
            CAPTURES.mkdir(parents=True, exist_ok=True)
            (CAPTURES / "top.txt").write_text(screen + "\n")
            terminal.press("q")
            assert terminal.process.wait(10) == 0
        finally:
            stop.set()
            for app in apps:
                app.join(20)
            terminal.close()
