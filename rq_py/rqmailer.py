"""``Q/bin/rqmailer``: runs a command and mails how it ended, by the node's own sendmail.

``create`` copies this file into the queue, where jobs find it on their PATH. So it is a program by itself,
needs nothing but the standard library of Python 3.9, and imports nothing of rqpy.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from email.message import EmailMessage
from email.policy import SMTP
from typing import IO

#: Bytes of each stream that go into the mail: the last ones.
KEPT = 64 * 1024
#: Where sendmail is; the PATH of a job may lack these.
PLACES = ("/usr/sbin", "/usr/lib", "/usr/local/sbin")
_USAGE = "rqmailer [--to ADDRESS,...] [--subject TEXT] [--only-failed] [--dry-run] [--] COMMAND..."


class Copied(threading.Thread):
    """Copies a stream of the command to one's own, and keeps its end."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._target: IO[bytes] | None = target
        self.tail = b""
        self.size = 0

    def run(self) -> None:
        """Copy until the last process has closed its end."""
        while piece := os.read(self._source.fileno(), 65536):
            self.size += len(piece)
            self.tail = (self.tail + piece)[-KEPT:]
            try:
                if self._target is not None:
                    self._target.write(piece)
                    self._target.flush()
            except OSError:
                self._target = None  # nobody reads it any longer; the mail still gets it

    def text(self) -> str:
        """What is kept, as text, with a note of what is not."""
        text = self.tail.decode("utf-8", "replace")
        omitted = self.size - len(self.tail)
        return f"[{omitted} bytes before this are not shown]\n{text}" if omitted else text


class Ended:
    """How a command ended: its exit status, or the signal that ended it, and how many seconds it took."""

    def __init__(self, words: list[str]) -> None:
        """Run the command, one word by the shell, several as they are; its streams pass through."""
        self.command = words[0] if len(words) == 1 else " ".join(map(shlex.quote, words))
        begin = time.monotonic()
        argv = ["/bin/sh", "-c", words[0]] if len(words) == 1 else words
        self.stdout = self.stderr = ""
        try:
            child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            self.stderr = f"{argv[0]}: {error.strerror}\n"
            sys.stderr.write(self.stderr)
            self.status = 127 if isinstance(error, FileNotFoundError) else 126
        else:
            self.status = self._wait(child)
        self.seconds = time.monotonic() - begin

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        # A job that is stopped gets TERM, and some time before KILL: enough to mail.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _: child.send_signal(received))
        assert child.stdout is not None  # noqa: S101
        assert child.stderr is not None  # noqa: S101
        copies = Copied(child.stdout, sys.stdout.buffer), Copied(child.stderr, sys.stderr.buffer)
        for copy in copies:
            copy.start()
        status = child.wait()
        for copy in copies:
            copy.join(5)  # what the command left in the background may hold its streams open for ever
        self.stdout, self.stderr = (copy.text() for copy in copies)
        return status

    @property
    def exit_status(self) -> int:
        """What a shell would say: 128 and the signal for one that ended it."""
        return self.status if self.status >= 0 else 128 - self.status

    @property
    def how(self) -> str:
        """In words."""
        if self.status < 0:
            return f"ended by signal {-self.status} ({signal.Signals(-self.status).name})"
        return f"exit status {self.status}"


def one_line(text: str) -> str:
    """A text that may stand in a header."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def mail(ended: Ended, to: str, subject: str, environ: dict[str, str]) -> EmailMessage:
    """The mail about a command."""
    # As long as a line may be (RFC 5322, 2.1.1), or a long path makes all of it quoted-printable.
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    message["To"] = to
    jid = environ.get("RQ_JID", "")
    what = f"job {jid}: " if jid else ""
    message["Subject"] = one_line(subject or f"[rq] {what}{ended.how}: {ended.command}")[:200]
    lines = [f"command: {ended.command}", f"ended: {ended.how}", f"elapsed: {ended.seconds:.3f} s"]
    lines += [f"node: {environ.get('RQ_RUNNER') or os.uname().nodename}"]
    if jid:
        lines += [f"queue: {environ.get('RQ_Q', '')}", f"jid: {jid}"]
        lines += [
            f"{name}: {environ[key]}" for name in ("tag", "cwd") if (key := f"RQ_{name.upper()}") in environ
        ]
    for name, text in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        lines += ["", f"--- {name}", text.rstrip("\n") or "(empty)"]
    body = "\n".join(lines) + "\n"
    # Whatever the command has printed: what is no character of a mail becomes one that says so.
    message.set_content("".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in body))
    return message


def send(message: EmailMessage, sendmail: str) -> str:
    """Hand the mail to sendmail; '' or why that failed."""
    words = shlex.split(sendmail)
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
    program = shutil.which(words[0], path=path) if words else None
    if program is None:
        return f"there is no {words[0] if words else 'sendmail'} on this node"
    argv = [program, *(words[1:] or ["-i", "-t"])]
    done = subprocess.run(argv, input=bytes(message).replace(b"\r\n", b"\n"), stdout=2, check=False)
    return f"{program} ended with {done.returncode}" if done.returncode else ""


def main() -> int:
    """Run the command, mail, and return the command's own exit status."""
    parser = argparse.ArgumentParser(
        prog="rqmailer",
        usage=_USAGE,
        description="Run a command and mail how it ended and the end of what it printed. Its stdin, stdout, "
        "stderr and exit status stay its own. One word is run by sh.",
    )
    parser.add_argument("--to", help="who gets the mail: MAILTO of the environment, else you")
    parser.add_argument("--subject", default="", help="what it is called, instead of how the command ended")
    parser.add_argument("--only-failed", action="store_true", help="mail only what did not end with 0")
    parser.add_argument("--dry-run", action="store_true", help="print the mail instead of sending it")
    parser.add_argument("--sendmail", default="sendmail -i -t", help="what sends it: sendmail -i -t")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    words = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not words:
        parser.error("say which command to run")
    to = one_line(given.to or os.environ.get("MAILTO") or getpass.getuser())
    ended = Ended(words)
    if given.only_failed and ended.status == 0:
        return 0
    message = mail(ended, to, given.subject, dict(os.environ))
    if given.dry_run:
        sys.stdout.buffer.write(bytes(message).replace(b"\r\n", b"\n"))
        sys.stdout.buffer.flush()
    elif failure := send(message, given.sendmail):
        sys.stderr.write(f"rqmailer: the mail was not sent: {failure}\n")
    return ended.exit_status


if __name__ == "__main__":
    sys.exit(main())
