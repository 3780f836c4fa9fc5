"""Runs commands inside a guest for the host, over virtio-serial; first process of the guest, one thread.

It needs no network and touches no NFS itself, so it answers also while the guest's network is cut: a program
that shall start in a folder on NFS changes there itself. Requests and answers are JSON objects, one a line:

    {"id": 1, "op": "start", "argv": [...], "env": {...}, "cwd": "/", "stdin": "", "output": null}
                                        {"id": 1, "pid": n}, and when it has ended
                                        {"id": 1, "status": n, "out": "...", "err": "..."}
    {"id": 2, "op": "signal", "pids": [...], "signal": 9}
                                        {"id": 2, "pids": [those that were there]}
    {"id": 3, "op": "processes"}        {"id": 3, "processes": [{"pid": n, ...}, ...]}
    {"id": 4, "op": "clock"}            {"id": 4, "boottime": ns, "realtime": ns}
    {"id": 5, "op": "step", "nanoseconds": n}
                                        {"id": 5}: CLOCK_REALTIME was set forward by n
    {"id": 6, "op": "read", "path": "...", "offset": n}
                                        {"id": 6, "data": "...", "more": true or false}

A status is an exit status, or minus the signal. The answer to a request that failed has an "error". With
"output", a path, stdout and stderr are appended to that file; else they come back when the program ends.
Text that is not UTF-8 travels as surrogate escapes. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

#: The name of our port; QEMU is told the same.
PORT = "rqlab.agent"

_SPOOL = "/run/rqlab"
_CHUNK = 1 << 18  # bytes of a file in one answer
_MOST_OUTPUT = 1 << 22  # bytes of a program's output that are sent: its end


def open_port() -> int:
    """A descriptor of our port, which appears a moment after its driver."""
    while True:
        for name in os.listdir("/sys/class/virtio-ports"):
            with suppress(OSError), open(f"/sys/class/virtio-ports/{name}/name", encoding="ascii") as file:
                if file.read().strip() == PORT:
                    return os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.01)


def read_text(path: str) -> str:
    """A file as text, or nothing where it cannot be read (any more)."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


class Agent:
    """The programs that were started, and the port to the host."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.running: dict[int, tuple[int, bool]] = {}  # pid -> request id, whether output is sent back

    def say(self, **answer: object) -> None:
        """Send one answer."""
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(self.port, data) :]

    def serve(self) -> None:
        """Answer requests and collect ended programs, for ever."""
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.say(id=0, boot=read_text("/proc/sys/kernel/random/boot_id").strip())
        poll = select.poll()
        poll.register(self.port, select.POLLIN)
        poll.register(woken, select.POLLIN)
        buffer = b""
        while True:
            ready = dict(poll.poll())
            if woken in ready:
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
            self.reap()
            if ready.get(self.port, 0) & select.POLLIN:
                buffer += os.read(self.port, 1 << 16)
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    self.answer(json.loads(line))
            elif self.port in ready:  # the host has gone: without it there is nothing to do
                time.sleep(0.1)

    def answer(self, request: dict[str, Any]) -> None:
        """Do one request and send what it gives."""
        number = request.pop("id")
        try:
            given = getattr(self, "do_" + request.pop("op"))(number, **request)
        except Exception as error:  # noqa: BLE001 - the host is told, and the guest lives on
            given = {"error": f"{type(error).__name__}: {error}"}
        self.say(id=number, **given)

    def do_start(
        self,
        number: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str | None = None,
        stdin: str = "",
        output: str | None = None,
    ) -> dict[str, object]:
        """Start a program in a session of its own."""
        if (
            cwd is not None
        ):  # a shell changes there, not we: the folder may be on a server that does not answer
            argv = ["/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", cwd, *argv]
        spool = f"{_SPOOL}/{number}"
        with open(spool + ".in", "w+", encoding="utf-8", errors="surrogateescape") as given:
            given.write(stdin)
            given.seek(0)
            out = open(output or spool + ".out", "ab")  # noqa: SIM115
            err = out if output else open(spool + ".err", "ab")  # noqa: SIM115
            try:
                program = subprocess.Popen(
                    argv, env=env, cwd="/", stdin=given, stdout=out, stderr=err, start_new_session=True
                )
            finally:
                out.close()
                err.close()
                os.unlink(spool + ".in")
        self.running[program.pid] = (number, output is None)
        program.returncode = 0  # reap() collects it, not the module
        return {"pid": program.pid}

    def reap(self) -> None:
        """Collect every ended child: ours are reported, adopted orphans just go."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.running:
                continue
            number, sends_output = self.running.pop(pid)
            out = self.spooled(f"{number}.out") if sends_output else ""
            err = self.spooled(f"{number}.err") if sends_output else ""
            self.say(id=number, status=os.waitstatus_to_exitcode(wait_status), out=out, err=err)

    def spooled(self, name: str) -> str:
        """The end of a program's output, which is removed."""
        text = read_text(f"{_SPOOL}/{name}")[-_MOST_OUTPUT:]
        os.unlink(f"{_SPOOL}/{name}")
        return text

    def do_signal(self, _number: int, pids: list[int], signal: int) -> dict[str, object]:
        """Send a signal to processes; says which of them existed."""
        there = []
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal)
                there.append(pid)
        return {"pids": there}

    def do_processes(self, _number: int) -> dict[str, object]:
        """Every process but the kernel's and ours: pid, parent, state, arguments, environment."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdecimal() or name == "1":
                continue
            arguments = read_text(f"/proc/{name}/cmdline")
            stat = read_text(f"/proc/{name}/stat").rpartition(")")[2].split()
            if not stat or not (arguments or stat[0] == "Z"):
                continue
            environment = read_text(f"/proc/{name}/environ").split("\0")
            found.append(
                {
                    "pid": int(name),
                    "parent": int(stat[1]),
                    "state": stat[0],
                    "argv": arguments.split("\0")[:-1],
                    "env": dict(entry.split("=", 1) for entry in environment if "=" in entry),
                }
            )
        return {"processes": found}

    def do_clock(self, _number: int) -> dict[str, object]:
        """Both clocks, read one after the other."""
        return {"boottime": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "realtime": time.time_ns()}

    def do_step(self, _number: int, nanoseconds: int) -> dict[str, object]:
        """Set the wall clock forward, or back."""
        time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + nanoseconds)
        return {}

    def do_read(self, _number: int, path: str, offset: int) -> dict[str, object]:
        """A piece of a file."""
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK)
            more = bool(file.read(1))
        # latin-1 maps each byte to one character: a piece may end within a character.
        return {"data": data.decode("latin-1"), "more": more}


def main() -> None:
    """Serve; whatever goes wrong here ends the guest, which the host sees on its console."""
    os.makedirs(_SPOOL, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Agent(open_port()).serve()


if __name__ == "__main__":
    main()
