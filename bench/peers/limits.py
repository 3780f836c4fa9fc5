"""The limits: programs that start the same commands without any queue."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.lab import SLOTS
from bench.peers.peer import Peer, run
from bench.tools import Tools


class Xargs(Peer):
    """xargs, each job a shell whose output goes to files of its own."""

    name = "xargs"
    title = f"xargs -n1 -P{SLOTS}"
    is_limit = True
    can_submit = has_worker = False

    def install(self, tools: Tools) -> str:
        """It is there wherever there is a shell."""
        return run([tools.program("xargs"), "--version"]).splitlines()[0].rpartition(" ")[2]

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """The commands come from stdin."""
        script = f"true >{folder}/out.$0 2>{folder}/err.$0"
        numbers = "".join(f"{number}\n" for number in range(jobs))
        begin = time.monotonic()
        run(["xargs", "-n1", f"-P{SLOTS}", shell, "-c", script], text=numbers)
        return time.monotonic() - begin


class Spawn(Peer):
    """A bare loop around posix_spawn and waitpid, in Python, with output to files."""

    name = "posix_spawn"
    title = "posix_spawn loop in Python"
    is_limit = True
    can_submit = has_worker = False

    def install(self, tools: Tools) -> str:
        """Nothing to install."""
        del tools
        return os.uname().release

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """Always SLOTS at once; the shell is looked up once."""
        flags, path = os.O_WRONLY | os.O_CREAT, shell if "/" in shell else f"/bin/{shell}"
        running = 0
        begin = time.monotonic()
        for number in range(jobs):
            if running == SLOTS:
                os.waitpid(-1, 0)
                running -= 1
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, f"{folder}/out.{number}", flags, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, f"{folder}/err.{number}", flags, 0o600),
            ]
            os.posix_spawn(path, [shell, "-c", "true"], os.environ, file_actions=actions)
            running += 1
        while running:
            os.waitpid(-1, 0)
            running -= 1
        return time.monotonic() - begin
