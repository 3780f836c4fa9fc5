"""``rqpy cron``: its marked lines come and go, no other line changes, and the feeder is kept alive."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy
from tests.waiting import wait_until

#: A crontab(1) that keeps its table in a file, as Debian's and cronie's behave.
CRONTAB = """#!/bin/sh
table={table}
echo "$*" >>{table}.calls
case $1 in
    -l) [ -e "$table" ] || {{ echo "no crontab for $(id -un)" >&2; exit 1; }}; cat "$table" ;;
    -) [ ! -e "$table.refuse" ] || {{ echo "bad minute" >&2; exit 1; }}; cat >"$table" ;;
    *) exit 2 ;;
esac
"""

OTHERS = b"# my own\nMAILTO=me\n*/5 * * * * backup # rqpy is not this\n\xff no text\n\n0 0 * * * last line"


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The file of the user's crontab, which does not exist yet."""
    return tmp_path / "table"


@pytest.fixture
def cron(rqpy: Rqpy, table: Path, tmp_path: Path) -> Rqpy:
    """``rqpy`` with a crontab program of its own, and a program file that the line can name."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("crontab", CRONTAB.format(table=shlex.quote(str(table)))),
        ("rqpy", f'#!/bin/sh\nexec "{sys.executable}" -P -m rq_py "$@"\n'),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    rqpy.environment["PATH"] = f"{programs}:/usr/bin:/bin"
    return rqpy


def command_of(line: str) -> str:
    """What cron hands to the shell for a line: crontab(5)."""
    schedule = re.match(r"(\S+ ){5}", line)
    assert schedule
    return line[schedule.end() :].replace("\\%", "%")


def by_cron(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a line as cron does: with next to no environment, in the home directory."""
    home = environment["HOME"]
    return subprocess.run(
        ["/bin/sh", "-c", command_of(line)],
        env={"PATH": "/usr/bin:/bin", "HOME": home},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_line_is_added_once_and_taken_out_and_no_other_is_touched(
    cron: Rqpy, queue: Queue, table: Path
) -> None:
    table.write_bytes(OTHERS)
    done = cron("cron", "add", "--max-feed", "2", queue=queue.path, check=True)
    first = table.read_bytes()
    assert first.startswith(OTHERS + b"\n* * * * * RQ_NODE=")
    assert first.endswith(f"start --quiet --max-feed 2 # rqpy {queue.settings.uuid}\n".encode())
    assert done.stdout.startswith("---\ncrontab:\n")
    own = cron("cron", "tab", queue=queue.path, check=True).stdout
    assert first == OTHERS + b"\n" + own.encode()

    calls = table.with_name("table.calls")
    calls.unlink()
    cron("cron", "add", "--max-feed", "2", queue=queue.path, check=True)
    assert calls.read_text() == "-l\n", "nothing is written where nothing changes"
    cron("cron", "add", "--schedule", "@reboot", "--rotate", queue=queue.path, check=True)
    lines = table.read_bytes()[len(OTHERS) + 1 :].decode().splitlines()
    assert [line.partition(" RQ_NODE")[0] for line in lines] == ["@reboot", "59 23 * * *"]

    other = Queue.create(queue.path.with_name("other 100%"))
    cron("cron", "add", queue=other.path, check=True)
    cron("cron", "delete", queue=queue.path, check=True)
    cron("cron", "delete", queue=queue.path, check=True)
    assert cron("cron", "tab", queue=queue.path, check=True).stdout == ""
    cron("cron", "delete", queue=other.path, check=True)
    assert table.read_bytes() == OTHERS + b"\n"


def test_the_lines_work_in_crons_short_environment(
    cron: Rqpy, queue_path: Path, table: Path, environment: dict[str, str]
) -> None:
    queue = Queue.create(queue_path.with_name("a 100% queue's"))
    queue.submit("true", cwd="/")
    cron("cron", "add", "--until-empty", "--log", "my log", queue=queue.path, check=True)
    (line,) = table.read_text().splitlines()
    done = by_cron(line, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    wait_until(lambda: queue.job(1).state == "finished")
    assert (cron.cwd / "my log").exists()


def test_start_and_shutdown(cron: Rqpy, queue: Queue, table: Path, environment: dict[str, str]) -> None:
    pid = re.compile(r"^pid: (\d+)$", re.MULTILINE)
    first = pid.findall(cron("cron", "start", queue=queue.path, check=True).stdout)
    assert first == pid.findall(cron("pid", queue=queue.path, check=True).stdout)
    assert first == pid.findall(cron("cron", "start", queue=queue.path, check=True).stdout), "again"
    (line,) = table.read_text().splitlines()
    done = by_cron(line, environment)
    assert (done.stdout, done.stderr) == (b"", b""), "cron sends no mail while a feeder runs"

    assert cron("cron", "shutdown", "-q", queue=queue.path, check=True).stdout == ""
    assert table.read_bytes() == b""
    wait_until(lambda: cron("pid", queue=queue.path).returncode == 1)
    cron("cron", "shutdown", queue=queue.path, check=True)


@pytest.mark.parametrize("words", [["stop"], ["stop", "hard"]])
def test_stop_ends_the_jobs(cron: Rqpy, queue: Queue, table: Path, words: list[str]) -> None:
    cron("cron", "start", "--grace", "1", queue=queue.path, check=True)
    queue.submit("sleep 600", cwd="/")
    wait_until(lambda: queue.job(1).state == "running")
    cron("cron", *words, queue=queue.path, check=True)
    assert (queue.job(1).state, queue.job(1).reason) == ("dead", "stopped")
    assert cron("pid", queue=queue.path).returncode == 1
    assert table.read_bytes() == b""


def test_what_cannot_be_is_one_line(cron: Rqpy, queue: Queue, table: Path) -> None:
    for words in (
        ["cron", "add", "--schedule", "often"],
        ["cron", "add", "--schedule", "* * * * *\n* * * * *"],
        ["cron", "shutdown", "hard"],
        ["cron", "delete", "--rotate"],
        ["cron", "add", "--systemd", "--rotate"],
        ["cron", "sometimes"],
    ):
        done = cron(*words, queue=queue.path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), words
    assert not table.exists()
    table.with_name("table.refuse").touch()
    done = cron("cron", "add", queue=queue.path)
    assert (done.returncode, done.stderr) == (1, "rqpy: crontab did not take the new table: bad minute\n")
    done = cron("cron", "add", queue=queue.path, env={"PATH": str(cron.cwd)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "there is no crontab program here" in done.stderr


def test_a_systemd_unit_instead(cron: Rqpy, queue: Queue, table: Path, tmp_path: Path) -> None:
    systemctl = tmp_path / "programs" / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/systemctl.calls\n')
    systemctl.chmod(0o755)
    calls = tmp_path / "systemctl.calls"
    unit = tmp_path / "home/.config/systemd/user" / f"rqpy-{queue.settings.uuid}.service"

    cron("cron", "start", "--systemd", "--max-feed", "3", queue=queue.path, check=True)
    text = unit.read_text()
    assert f'"{queue.path}" "feed" "--quiet" "--max-feed" "3"\n' in text
    assert "KillMode=process\n" in text
    assert f'Environment="RQ_NODE={cron.environment["RQ_NODE"]}"\n' in text
    assert calls.read_text() == f"--user daemon-reload\n--user --now enable {unit.name}\n"
    assert cron("cron", "tab", "--systemd", queue=queue.path, check=True).stdout == text

    calls.unlink()
    cron("cron", "shutdown", "--systemd", queue=queue.path, check=True)
    assert calls.read_text() == f"--user --now --no-block disable {unit.name}\n--user daemon-reload\n"
    assert not unit.exists()
    assert not table.exists()
    cron("cron", "shutdown", "--systemd", queue=queue.path, check=True)

    systemctl.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    done = cron("cron", "add", "--systemd", queue=queue.path)
    assert (done.returncode, done.stderr.count("Failed to connect to bus")) == (0, 2)
    done = cron("cron", "start", "--systemd", queue=queue.path)
    assert done.returncode == 1
    assert "Failed to connect to bus" in done.stderr
