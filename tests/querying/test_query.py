"""``query``: which jobs meet a condition, and what is no condition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from rq_py.errors import UsageError
from rq_py.job import LISTED_FIELDS
from rq_py.querying import where_clause
from tests.conftest import Rqpy


@pytest.mark.parametrize(
    ("condition", "jids"),
    [
        ("tag=important", [1, 2]),
        ("TAG=important", [1, 2]),
        ("tag=", [3, 6]),
        ("tag!=", [1, 2, 4, 5]),
        ("priority=6 restartable=true", [1]),
        ("priority=6 and restartable=true", [1]),
        ("priority!=6\nAND restartable=yes\n", [5]),
        ("restartable=false", [2, 3, 4, 6]),
        ("restartable=", [2, 3, 4, 6]),
        ("restartable!=", [1, 5]),
        ("attempt=", [4, 5, 6]),
        ("priority=-1", [4]),
        ("command=~%bombing_job% runner=~%node_1%", [1]),
        ("command=~%FOOBAR%", [3, 4]),
        ("command!~%foobar%", [1, 2, 5, 6]),
        ("jid=~%", [1, 2, 3, 4, 5, 6]),
        ("exit_status!=0", [2, 3]),
        ("exit_status!=3", [1, 3]),
        ("reason!=stopped", [1, 2, 3]),
        ("reason!~node%", [1, 2]),
        ("elapsed!=1 state=pending", []),
        ("tag!=important", [3, 4, 5, 6]),
        ("tag!~%t%", [3, 4, 6]),
        ("runner!=node_2", [1, 3, 4, 5, 6]),
        ("exit_status!=0 state!=dead", [2]),
        ("exit_status=0", [1]),
        ("state=dead", [3]),
        ("elapsed=0.5", []),
        ("required_runner=node_9 state=holding", [6]),
        ("stdin=stdin/4", [4]),
        ("stdout=stdout/2", [2]),
        ("stderr=", [4, 5, 6]),
        ("data=", [1, 2, 3, 4, 5, 6]),
        ("env!=", [5]),
        ("tag=a;b", []),
        ("tag=(", []),
        ("priority==6", [1, 3]),
        ("state='finished' or state='dead'", [1, 2, 3]),
        ("state='finished';", [1, 2]),
        ("state='finished' -- those that have ended", [1, 2]),
        ("/* those ) ; */ state='finished'", [1, 2]),
        ("tag = 'it''s'", [5]),
        ('state = "dead"', [3]),
        ("jobs.jid between 2 and 3", [2, 3]),
        ("(jid) in (1, (2))", [1, 2]),
        ("stdin is not null and stdout is null", [4, 5, 6]),
        ("started >= '2004-06-29 22:51' and finished is null", [1, 2, 3]),
        ("json_extract(env, '$.A') = '1'", [5]),
        ("length(command) > (select avg(length(command)) from jobs)", [1, 3, 4]),
        ("restartable", [1, 5]),
        ("false", []),
    ],
)
def test_which_jobs_meet_a_condition(queue: Queue, condition: str, jids: list[int]) -> None:
    assert [job.jid for job in queue.query(condition)] == jids


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "no condition"),
        (" \n", "no condition"),
        ("-- nothing", "no condition"),
        ("tagg=x", "tagg.*no such field, there are jid"),
        ("jid=x", "not a whole number"),
        ("jid=1;drop", "not a whole number"),
        ("priority=9223372036854775808", "64 bits"),
        ("priority=٣", "not a whole number"),
        ("elapsed=long", "not a number"),
        ("elapsed=nan", "not a number"),
        ("restartable=maybe", "neither true nor false"),
        ("state=done", "none of pending"),
        ("42", "jid=..."),
        ("important", "no such column: important .a text needs single quotes"),
        ("tag=a or tag=b", "no such column: a "),
        ("tag=x and", "incomplete input|syntax error"),
        ("and tag=x", "syntax error"),
        ("tag=x and and tag=y", "syntax error"),
        ("tag is", "syntax error"),
        ("jid = ?", "bindings"),
        ("jid = :jid", "single quotes"),
        ("jid = $jid(1)", "single quotes"),
        ("count(*) > 1", "misuse of aggregate"),
        ("(1, 2)", "row value"),
        ("tag = 'x", "does not end"),
        ("1 /* x", "does not end"),
        ("(1", r"\( without"),
        ("1) or (1", r"\) without"),
        ("1)) union select 1 from jobs where ((1", r"\) without"),
        ("1; drop table jobs", "one condition at a time.*drop table jobs"),
        ("1;;1", "one condition"),
        ("1 limit 1", "syntax error"),
        ("1 union select 1", "syntax error"),
        ("1\0", "NUL"),
        ("\udcff = 1", "wrong"),
        ("-" * 1200 + "1", "no condition"),  # a comment
        ("(" * 1200 + "1" + ")" * 1200, "wrong"),
        ("1 or " * 300_000 + "1", "longer than"),
    ],
)
def test_what_is_no_condition_is_one_line(queue: Queue, condition: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        queue.query(condition)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_parameters_and_limit(queue: Queue) -> None:
    assert [job.jid for job in queue.query("tag = ? or priority > ?", ["it's", 5])] == [1, 3, 5]
    assert [job.jid for job in queue.query("priority = 6", limit=1)] == [1]
    with pytest.raises(UsageError):
        queue.query("priority = ?", [2**63])
    with pytest.raises(UsageError):
        queue.query("tag = ?", ["\udcff"])


def test_every_field_of_a_listing_can_be_compared(queue: Queue) -> None:
    for field in LISTED_FIELDS:
        assert list(queue.query(f"{field} = {field} or {field} is null")) == list(queue.jobs()), field
        assert where_clause(f"{field}=") != where_clause(f"{field}!=")
        both = [job.jid for text in (f"{field}=", f"{field}!=") for job in queue.query(text)]
        assert sorted(both) == [1, 2, 3, 4, 5, 6], field


def test_the_jobs_that_failed_are_those_that_status_counts(queue: Queue) -> None:
    queue.execute("UPDATE jobs SET exit_status = NULL, signal = 9 WHERE jid = 2")
    assert [job.jid for job in queue.query("exit_status!=0")] == [2, 3]
    assert queue.status()["exit_status"] == {"successes": 1, "failures": 2}


def test_what_is_listed_is_what_is_queried(rqpy: Rqpy, queue: Queue) -> None:
    for job in yaml.safe_load(rqpy("list", queue=queue.path, check=True).stdout):
        for field in set(job) - {"env", "command", "submitted", "started"}:
            value = str(job[field]).lower() if field == "restartable" else job[field]
            if "'" not in str(value):
                found = [match.jid for match in queue.query(f"jid={job['jid']} {field}={value}")]
                assert found == [job["jid"]], field


def test_the_exit_status_says_whether_there_is_one(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("query", "tag=important", "priority=6", "-f", "jid,tag", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "---\n-\n  jid: 1\n  tag: important\n", "")
    done = rqpy("q", "tag=nothing", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "--- []\n", "")
    for tag, status in (("important", 0), ("nothing", 1)):
        done = rqpy("query", "--quiet", f"tag={tag}", queue=queue.path)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    done = rqpy("query", "tag is", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("option", ["--snapshot", "-s"])
def test_a_query_of_a_snapshot_reads_the_queue_once(
    rqpy: Rqpy, queue: Queue, tmp_path: Path, option: str
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    env = {"TMPDIR": str(folder), "RQ_SQL_DEBUG": "1"}
    condition = "state = 'finished' or tag = 'disk_filler'"
    plain = rqpy("query", condition, queue=queue.path, env=env, check=True)
    seen = rqpy("query", condition, option, queue=queue.path, env=env, check=True)
    assert seen.stdout == plain.stdout
    assert [job["jid"] for job in yaml.safe_load(seen.stdout)] == [1, 2, 4]
    # One transaction copies the queue, the other one is of the copy.
    assert (plain.stderr.count("sql: BEGIN"), seen.stderr.count("sql: BEGIN")) == (1, 2)
    assert list(folder.iterdir()) == []
    wrong = rqpy("query", "nonsense is", option, queue=queue.path, env={"TMPDIR": str(folder)})
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert list(folder.iterdir()) == []


def test_formats(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy(
        "query", "-o", "jsonl", "--fields=jid,stdout", "priority", "=", "6", queue=queue.path, check=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"jid": 1, "stdout": "stdout/1"},
        {"jid": 3, "stdout": "stdout/3"},
    ]


@pytest.mark.parametrize("words", [[], ["-"]])
def test_the_condition_on_stdin(rqpy: Rqpy, queue: Queue, words: list[str]) -> None:
    text = "-- it's a note\nstarted >= '2004-06-29 22:51:06'\nand state = 'finished'\n"
    done = rqpy("query", *words, "-f", "jid", queue=queue.path, stdin=text, check=True)
    assert yaml.safe_load(done.stdout) == [{"jid": 2}]
    assert rqpy("query", *words, queue=queue.path, stdin="").returncode == 2
    done = rqpy("query", *words, queue=queue.path, stdin=b"tag = '\xff'")
    assert (done.returncode, done.stderr) == (2, "rqpy: a condition: is not valid UTF-8\n")
    assert rqpy("query", *words, queue=queue.path, stdin=b" " * 5_000_000).returncode == 2


def test_words_and_stdin_are_not_mixed(rqpy: Rqpy, queue: Queue) -> None:
    assert rqpy("query", "tag=x", "-", queue=queue.path).returncode == 2


def test_who_may_only_read_can_query(rqpy: Rqpy, queue_path: Path) -> None:
    Queue.create(queue_path, public=True).submit("one")
    for path in (queue_path, *queue_path.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    done = rqpy("query", "command=one", "-f", "jid", queue=queue_path)
    assert (done.returncode, done.stdout) == (0, "---\n-\n  jid: 1\n")
