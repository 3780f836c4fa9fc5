"""The examples of query and execute in rq's README, as they stand there, with ``rq`` being ``rqpy``.

Only the years' typing errors in its file names are put right. Its other modes' examples are tested with them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rq_py import Queue

Shell = Callable[[str], str]

CONSTRAINTS = "started >= '2004-06-29 22:51:00' and\nstarted < '2004-06-29 22:51:10'\n"


@pytest.fixture
def shell(queue: Queue, environment: dict[str, str], tmp_path: Path) -> Shell:
    """Runs a line of the README beside the queue ``q`` and returns what it prints."""
    assert queue.path == tmp_path / "q"
    program = f'rq() {{ "{sys.executable}" -m rq_py "$@"; }}\nset -o pipefail\n'
    (tmp_path / "constraints.txt").write_text(CONSTRAINTS)
    (tmp_path / "joblist").write_text("job1.sh\njob2.sh\njob2.sh\n")

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", program + line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), line
        return done.stdout

    return run


def jids(listing: str) -> list[int]:
    return [job["jid"] for job in yaml.safe_load(listing)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "a='2004-06-29 22:51:00'\nb='2004-06-29 22:51:10'\n"
            "rq q query \"started >= '$a' and started < '$b'\"",
            [1, 2],
        ),
        ("rq q query < constraints.txt", [1, 2]),
        ("cat constraints.txt| rq q query -", [1, 2]),
        ("rq q q \"state='finished' or state='dead'\"", [1, 2, 3]),
        ("rq q query exit_status!=0", [2, 3]),
        ("rq q query tag=important", [1, 2]),
        ("rq q q priority=6 restartable=true", [1]),
        ("rq q q command=~%bombing_job% runner=~%node_1%", [1]),
        ("rq q execute 'select * from jobs'", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_what_an_example_shows(shell: Shell, line: str, expected: list[int]) -> None:
    assert jids(shell(line)) == expected


def test_a_tag_of_many_jobs(shell: Shell) -> None:
    assert jids(shell("rq q submit --tag=my_jobs - < joblist")) == [7, 8, 9]
    assert jids(shell("rq q query tag=my_jobs")) == [7, 8, 9]


def test_submit_the_important_ones_again(shell: Shell, queue: Queue) -> None:
    shell("rq q query tag=important | rq q s -")
    again = [job.command for job in queue.query("tag=important state=pending")]
    assert again == ["a_bombing_job 1", "two"]


def test_delete_what_a_query_found(shell: Shell, queue: Queue) -> None:
    shell("cat constraints.txt | rq q q - | rq q d -")
    assert [job.jid for job in queue.jobs()] == [3, 4, 5, 6]


def test_resubmit_what_failed(shell: Shell, queue: Queue) -> None:
    shell("rq q query exit_status!=0 | rq q resubmit -")
    assert [job.jid for job in queue.jobs("pending")] == [2, 3, 4, 5], "the dead one, too"


def test_update_what_a_query_found(shell: Shell, queue: Queue) -> None:
    shell("rq q q \"command like '%foobar' and state = 'pending'\" |\\\nrq q u command=barfoo")
    assert [job.jid for job in queue.query("command=barfoo")] == [4]
    shell("rq q q tag=disk_filler | rq q u state=holding -")
    assert queue.job(4).state == "holding"


def test_the_sql_of_a_feeder_can_be_seen(shell: Shell, queue: Queue) -> None:
    queue.execute("delete from jobs")
    said = shell("RQ_SQL_DEBUG=1 rq q feed -v4 --min_sleep=2 --max_sleep=4 --until-empty 2>&1")
    assert "sql: BEGIN IMMEDIATE" in said
    assert "sql: COMMIT" in said
