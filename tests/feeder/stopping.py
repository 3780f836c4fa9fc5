"""A feeder that stops itself at a named point of its tick, so that a test can act at that very moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.feeder.conftest import Feed, FeederProcess
from tests.waiting import wait_until


class Stopped:
    """A feeder that has stopped itself at a named point."""

    def __init__(
        self,
        feed: Feed,
        folder: Path,
        point: str,
        *arguments: str,
        meanwhile: Callable[[FeederProcess], None] = lambda feeder: None,
    ) -> None:
        fifo = folder / f"at-{point}"
        os.mkfifo(fifo)
        self.feeder: FeederProcess = feed(*arguments, env={"RQ_TEST_PAUSE_AT": f"{point}:{fifo}"}, up=False)
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(fifo.read_text()), daemon=True)
        reader.start()
        meanwhile(self.feeder)
        reader.join(30)
        assert said == [point], self.feeder.log
        wait_until(lambda: "State:\tT" in Path(f"/proc/{self.feeder.process.pid}/status").read_text())

    def goes_on(self) -> None:
        """Let it go on."""
        self.feeder.process.send_signal(signal.SIGCONT)
