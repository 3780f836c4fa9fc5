"""The nodes of a torture: each keeps a feeder, and starts it again when it is gone, as cron would."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path

from tests.oracle.scene import Scene


class Node:
    """One node. What is public but ``keep`` is for the thread that makes the faults."""

    def __init__(self, name: str, scene: Scene, slots: int, log: Path, chance: random.Random) -> None:
        self.name = name
        self.absent_until = 0.0  #: nobody starts a feeder here before that
        self.calm_until = 0.0  #: its feeder must be left alone until then, and its runner as well
        self._environment = {**scene.environment, "RQ_NODE": name}
        self._command = scene.command("feed", "--max-feed", str(slots), "--grace", "2", "--max-sleep", "0.5")
        self._log = log
        self._chance = chance
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def feeder(self) -> int | None:
        """The pid of its feeder, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def keep(self, ended: threading.Event) -> None:
        """Keep a feeder until ``ended``."""
        while not ended.is_set():
            if self.feeder is None and time.monotonic() >= self.absent_until:
                ended.wait(self._chance.random())
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command, env=self._environment, stdin=subprocess.DEVNULL, stderr=log
                    )
                self.starts += 1
            ended.wait(0.2)

    def drain(self) -> None:
        """Let the feeder end when its jobs have; kill it when that takes too long."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
