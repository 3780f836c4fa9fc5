"""A systemd user unit that keeps a feeder running: its text, where it lies, and systemctl."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rq_py.cli.printing import print_line
from rq_py.errors import RqError, StorageError, UsageError

# KillMode=process: the runner and its jobs are in the unit's control group, and must outlive the feeder.
# TimeoutStopSec: a feeder that is told to end waits for its jobs.
_UNIT = """\
[Unit]
Description=rqpy feeder of {queue}
StartLimitIntervalSec=0

[Service]
{environment}ExecStart={command}
Restart=always
RestartSec=60
KillMode=process
TimeoutStopSec=infinity

[Install]
WantedBy=default.target
"""


class UserUnit:
    """The unit ``rqpy-<uuid>.service`` of the user who runs this."""

    def __init__(self, uuid: str, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_CONFIG_HOME", "")
        # A relative XDG_CONFIG_HOME is to be ignored (XDG Base Directory Specification).
        root = Path(base) if base.startswith("/") else Path.home() / ".config"
        self.name = f"rqpy-{uuid}.service"
        self.path = root / "systemd" / "user" / self.name

    def write(self, queue: Path, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Write the unit that runs ``command``; the same unit again is not written. Raises StorageError."""
        environment = "".join(
            f"Environment={_quoted(f'{name}={value}', dollars=False)}\n" for name, value in variables.items()
        )
        words = " ".join(map(_quoted, command))
        description = str(queue).replace("%", "%%").replace("\\", "\\\\")
        text = _UNIT.format(queue=description, environment=environment, command=words)
        try:
            if self.path.exists() and self.path.read_text(encoding="utf-8") == text:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_name(f".{self.name}.{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.rename(self.path)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error
        self.systemctl("daemon-reload")

    def remove(self) -> None:
        """Remove the unit where there is one. Raises StorageError."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error
        self.systemctl("daemon-reload")

    def systemctl(self, verb: str, *options: str, needed: bool = False) -> None:
        """Run ``systemctl --user VERB`` on the unit; where that cannot be, say so, or raise RqError."""
        words = ["systemctl", "--user", *options, verb, *([self.name] if verb != "daemon-reload" else [])]
        if shutil.which("systemctl") is None:
            why = "there is no systemctl here"
        else:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
            )
            if done.returncode == 0:
                return
            said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            why = f"systemctl: {said[0]}"
        message = f"{why}: where systemd runs your user units, say: {' '.join(words)}"
        if needed:
            raise RqError(message)
        print_line(message, "warn")


def _quoted(word: str, *, dollars: bool = True) -> str:
    """One word of a unit file: systemd.syntax(7), and systemd.service(5) for the dollars of a command.

    Raises UsageError for a newline.
    """
    if "\n" in word or "\r" in word:
        raise UsageError("a path with a newline cannot stand in a unit file")
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if dollars else text}"'
