"""The examples of rq's README, section by section, with rqpy called ``rq``.

They are as they stand there, but for jids (there is no job 42 here), for ``less``, for times to poll and
for the ruby in the filter, which is awk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from tests.conftest import Rqpy
from tests.modes.test_cron import CRONTAB
from tests.waiting import wait_until

FILTER = """#!/usr/bin/awk -f
BEGIN { RS = "\\n-\\n" }
NR == 1 { printf "%s", $0 }
NR > 1 && /bombing_program/ { printf "\\n-\\n%s", $0 }
END { print "" }
"""


class Shell:
    """A shell in the folder of the queue ``q``, in which ``rq`` is rqpy."""

    def __init__(self, rqpy: Rqpy, folder: Path) -> None:
        self.folder = folder
        programs = folder / "programs"
        programs.mkdir()
        for name, text in (
            ("rq", f'#!/bin/sh\nexec "{sys.executable}" -P -m rq_py "$@"\n'),
            ("yaml_filter_prog", FILTER),
            ("crontab", CRONTAB.format(table=folder / "table")),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {**rqpy.environment, "PATH": f"{programs}:{rqpy.environment['PATH']}"}

    def __call__(self, script: str, stdin: str = "") -> str:
        """Run the script, which must end well and say nothing on stderr; what it prints."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), script
        return done.stdout

    def jids(self, script: str, stdin: str = "") -> list[int]:
        """Run the script and return the jids in the listing that it prints."""
        return [job["jid"] for job in yaml.safe_load(self(script, stdin))]


@pytest.fixture
def rq(rqpy: Rqpy, tmp_path: Path) -> Shell:
    return Shell(rqpy, tmp_path)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """Job 1 reads and writes, job 2 fails, job 3 waits, 4 holds; nothing has run yet."""
    queue = Queue.create(tmp_path / "q", settings={"shell": "sh", "login": "never"})
    queue.submit("cat", stdin=b"input", tag="important", priority=6, restartable=True)
    queue.submit("exit 42", priority=5)
    return queue


@pytest.fixture
def fed(rq: Shell, queue: Queue) -> Queue:
    """The same; jobs 1 and 2 have run."""
    rq("rq q feed --until-empty --verbosity=fatal")
    queue.submit("foobar", tag="disk_filler")
    queue.submit("run bombing_program", stage=True)
    return queue


def test_create(rq: Shell, tmp_path: Path) -> None:
    rq(f"rq {tmp_path}/a create; rq {tmp_path}/b c")
    assert list(Queue(tmp_path / "a").jobs()) == list(Queue(tmp_path / "b").jobs()) == []


def test_submit(rq: Shell, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "joblist").write_text("job1.sh\njob2.sh\njob2.sh\n")
    (tmp_path / "cat.in").write_text("cat's stdin")
    (tmp_path / "cmdfile").write_text("true\n" * 42)
    assert rq.jids("rq q s ls") == [3]
    assert rq.jids("rq -p9 q s ls") == [4]
    assert queue.job(4).priority == 9
    assert rq.jids("rq q submit --infile=joblist") == [5, 6, 7]
    assert rq.jids("cat joblist | rq q submit -") == [8, 9, 10]
    assert rq.jids("rq q submit - <joblist") == [11, 12, 13]
    assert rq.jids("rq q submit cat --stdin=cat.in") == [14]
    assert rq.jids("cat cat.in | rq q submit cat --stdin=-") == [15]
    assert rq.jids("rq q submit cat --stdin=- <cat.in") == [16]
    assert [queue.stream(jid, "stdin").read_text() for jid in (14, 15, 16)] == ["cat's stdin"] * 3
    assert rq.jids("rq -p9 -timportant q s < cmdfile") == list(range(17, 59))
    assert {(job.tag, job.priority) for job in queue.jobs(range(17, 59))} == {("important", 9)}
    assert rq.jids("rq q query tag=important | rq q s -") == list(range(59, 59 + 43))
    assert rq.jids("rq q s --stage wont_run_yet") == [102]
    assert queue.job(102).state == "holding"


def test_submit_what_has_finished_and_resubmit(rq: Shell, fed: Queue, tmp_path: Path) -> None:
    (tmp_path / "new_stdin.in").write_text("new")
    assert rq.jids("rq q l f | rq q s") == [5, 6]
    assert fed.stream(5, "stdin").read_bytes() == b"input"
    assert rq.jids("rq q resubmit 1") == [1]
    assert fed.stream(1, "stdin").read_bytes() == b"input"
    assert rq.jids("rq q query exit_status!=0 | rq q resubmit -") == [2]
    assert rq.jids("rq q resubmit 1 --stdin=new_stdin.in") == [1]
    assert fed.stream(1, "stdin").read_bytes() == b"new"
    assert {fed.job(1).state, fed.job(2).state} == {"pending"}


def test_list(rq: Shell, fed: Queue) -> None:
    assert rq.jids("rq q list all") == rq.jids("rq q l all") == [1, 2, 3, 4]
    assert rq.jids("export RQ_Q=q; rq l") == [1, 2, 3, 4]
    assert rq.jids("rq q list pending") == [3]
    assert rq.jids("rq q list running 2>/dev/null || true") == []
    assert rq.jids("rq q list finished") == [1, 2]
    assert rq.jids("rq q l 2") == [2]
    assert rq.jids("rq q list holding") == [4]


def test_status(rq: Shell, fed: Queue) -> None:
    assert yaml.safe_load(rq("rq q t"))["exit_status"] == {"successes": 1, "failures": 1}
    assert yaml.safe_load(rq("rq q t --exit ok=42"))["exit_status"]["ok"] == 1
    found = yaml.safe_load(rq("rq q t --exit 'ok=42,43 command_not_found=127'"))["exit_status"]
    assert found == {"successes": 1, "failures": 1, "ok": 1, "command_not_found": 0}


def test_delete(rq: Shell, fed: Queue) -> None:
    assert rq.jids("rq q list | yaml_filter_prog | rq q d -") == [4]
    assert rq.jids("rq q d p ") == [3]
    assert rq.jids("rq q d f ") == [1, 2]
    fed.submit("last")
    assert rq.jids("rq q d all") == [5]
    assert list(fed.jobs()) == []


def test_update(rq: Shell, fed: Queue) -> None:
    rq("rq q update 3 priority=7 ")
    assert fed.job(3).priority == 7
    assert rq.jids("rq q update pending priority=8 ") == [3]
    assert rq.jids("rq q q \"command like '%foobar%'\" |\\\n rq q u command=barfoo ") == [3]
    assert fed.job(3).command == "barfoo"
    rq("rq q u 3 state=holding")
    assert fed.job(3).state == "holding"
    rq("rq q u 3 state=pending")
    assert fed.job(3).state == "pending"
    assert rq.jids("rq q q tag=disk_filler | rq q u state=holding -") == [3]
    assert fed.job(3).state == "holding"


def test_query(rq: Shell, fed: Queue, tmp_path: Path) -> None:
    started = fed.job(1).started
    assert started
    ab = f"a='{started[:16]}'\nb='{int(started[:4]) + 1}'\n"
    assert rq.jids(f"{ab} rq q query \"started >= '$a' and started < '$b'\"") == [1, 2]
    (tmp_path / "constraints.txt").write_text("started >= '2004-06-29 22:51:00' and\nexit_status = 42\n")
    assert rq.jids("rq q query < constraints.txt") == [2]
    assert rq.jids("cat constraints.txt| rq q query -") == [2]
    assert rq.jids("rq q q \"state='finished' or state='dead'\"") == [1, 2]
    assert rq.jids("rq q query exit_status!=0 ") == [2]
    assert rq.jids("rq q submit --tag=my_jobs - ; rq q query tag=my_jobs > /dev/null", "x\ny\n") == [5, 6]
    assert rq.jids("rq q query tag=important") == [1]
    assert rq.jids("rq q q priority=6 restartable=true ") == [1]
    fed.submit("my bombing_job here")
    node = fed.job(1).runner
    assert rq.jids(f"rq q q command=~%ca% runner=~%{node}% ") == [1]
    assert rq.jids("rq q q command=~%bombing_job%") == [7]
    assert rq.jids("cat constraints.txt | rq q q - | rq q d -") == [2]


def test_execute_and_recover(rq: Shell, fed: Queue) -> None:
    assert len(yaml.safe_load(rq("rq q execute 'select * from jobs'"))) == 4
    rq("rq q recover")
    assert len(list(fed.jobs())) == 4


def test_snapshots_while_a_feeder_runs(rq: Shell, fed: Queue, tmp_path: Path) -> None:
    rq("rq q start --quiet")
    fed.submit("sleep 600")
    wait_until(lambda: fed.job(5).state == "running")
    rq(f"rq {tmp_path}/q snapshot ")
    assert yaml.safe_load(rq("rq ./q.snapshot status "))["jobs"]["running"] == 1
    assert rq(f"rq ./q.snapshot list running | grep {rq.environment['RQ_NODE']}")
    assert rq("rq q t --snapshot").splitlines()[:2] == rq("rq q t -s").splitlines()[:2]
    assert rq("rq q list -s | cat") == rq("rq q list")
    rq("rq q stop")


def test_lock_and_backup(rq: Shell, fed: Queue, tmp_path: Path) -> None:
    rq("rq q L read -- cp -r q q.copy")
    assert (tmp_path / "q.copy" / "stdout" / "1").read_text() == "input"
    rq("rq q b")
    rq("rq q b q.bak")
    backups = sorted(path.name for path in tmp_path.glob("q.*bak"))
    assert len(backups) == 2
    for name in backups:
        assert rq(f"rq {name} stdout 1") == "input"


def test_rotate(rq: Shell, fed: Queue, tmp_path: Path) -> None:
    rq("rq q rotate q.rotation")
    assert rq.jids("rq q.rotation list finished") == [1, 2]
    assert rq("rq q.rotation stdout 1") == "input"
    assert rq.jids("rq q l") == [3, 4]
    for script in ("rq q rotate `date +q.%Y%m%d`", "rq q rotate"):
        fed.submit("true")
        rq("rq q feed --until-empty --verbosity=fatal")
        rq(script)
    assert len(list(tmp_path.glob("q.2*"))) == 2


def test_feed(rq: Shell, queue: Queue, tmp_path: Path) -> None:
    polling = "--min_sleep=0.2 --max_sleep=0.4 --until-empty"
    rq(f"rq q feed -v4 {polling} 2>log")
    assert "feeding" in (tmp_path / "log").read_text()
    rq(f"RQ_SQL_DEBUG=1 rq q feed -v4 {polling} 2>sql")
    assert "COMMIT" in (tmp_path / "sql").read_text()
    rq(f"rq q feed --daemon -l{tmp_path}/rq.log")
    assert yaml.safe_load(rq("rq q pid"))["pid"] > 1
    assert (tmp_path / "rq.log").exists()
    rq("rq q shutdown ")
    wait_until(lambda: rq("rq q pid 2>/dev/null || echo none") == "none\n")
    rq("rq q start")
    rq("rq q stop ")


def test_cron(rq: Shell, queue: Queue, tmp_path: Path) -> None:
    for end in ("shutdown", "stop"):
        rq("rq q cron start")
        assert len((tmp_path / "table").read_text().splitlines()) == 1
        rq(f"rq q cron {end}")
        assert (tmp_path / "table").read_text() == ""
        wait_until(lambda: rq("rq q pid 2>/dev/null || echo none") == "none\n")


def test_streams(rq: Shell, fed: Queue) -> None:
    path = fed.path
    assert rq("rq q stdin 1") == rq("rq q 0 1") == rq("rq q stdout 1") == rq("rq q 1 1") == "input"
    assert rq("rq q stderr 1") == rq("rq q 2 1") == ""
    assert rq("rq q stdin4 1; rq q stdout4 1; rq q stderr4 1") == (
        f"{path}/stdin/1\n{path}/stdout/1\n{path}/stderr/1\n"
    )
    assert rq("RQ_EDITOR='ls' rq q ioview 1").count("\n") == 3


def test_help(rq: Shell) -> None:
    assert rq("rq q help") == rq("rq help")


def test_scripts_of_ones_own(rq: Shell, queue: Queue, tmp_path: Path) -> None:
    for name, options in (("my_q", ""), ("username_q", 'export RQ_OPTS="--tag=username --priority=-42"')):
        (tmp_path / name).write_text(f'#!/bin/sh\n{options}\nrq {queue.path} "$@"\n')
        (tmp_path / name).chmod(0o755)
    assert rq.jids("./my_q submit my_job") == [3]
    rq("./my_q status")
    assert rq.jids("./my_q delete 3") == [3]
    assert rq.jids("./username_q submit my_job; ./username_q status >/dev/null") == [4]
    assert (queue.job(4).tag, queue.job(4).priority) == ("username", -42)
    assert rq.jids("export RQ_OPTS=--restartable; rq q submit x") == [5]
    assert queue.job(5).restartable
    assert rq.jids('alias MYQ="RQ_Q=q rq"; shopt -s expand_aliases\nMYQ list 2') == [2]
