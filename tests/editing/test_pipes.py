"""Pipes between modes, through a real shell: what one prints the next one reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue
from rq_py.claims import finish
from tests.conftest import Rqpy
from tests.editing.conftest import DEAD, FINISHED, HOLDING, PENDING, RUNNING, claimed, ended

Pipe = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pipe(environment: dict[str, str], queue: Queue, tmp_path: Path) -> Pipe:
    """Runs a line of shell in which ``rqpy`` is the program and ``q`` the queue."""
    program = tmp_path / "path" / "rqpy"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rq_py "$@"\n')
    program.chmod(0o755)
    repository = Path(__file__).parents[2]
    env = {**environment, "PATH": f"{program.parent}:{environment['PATH']}", "PYTHONPATH": str(repository)}

    def run(line: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", "set -o pipefail\n" + line],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=queue.path.parent,
            env=env,
            check=False,
            timeout=60,
        )

    return run


def jids(text: str) -> list[int]:
    """The jids of a listing."""
    return [job["jid"] for job in yaml.safe_load(text)]


def test_finished_jobs_are_submitted_anew(pipe: Pipe, every_state: Queue) -> None:
    done = pipe("rqpy q l f | rqpy q s -")
    assert (done.returncode, done.stderr) == (0, "")
    assert jids(done.stdout) == [6]
    assert every_state.stream(6, "stdin").read_bytes() == b"input"
    assert jids(pipe("rqpy q l f | rqpy q s").stdout) == [7]


def test_list_takes_a_listing(pipe: Pipe, every_state: Queue) -> None:
    assert jids(pipe("rqpy q list p h | rqpy q list -").stdout) == [PENDING, HOLDING]
    assert jids(pipe("rqpy q list p | rqpy q list - f").stdout) == [PENDING, FINISHED]


def test_resubmit_takes_a_listing(pipe: Pipe, every_state: Queue) -> None:
    done = pipe("rqpy q list f d | rqpy q resubmit -")
    assert (done.returncode, done.stderr) == (0, "")
    assert jids(done.stdout) == [4, 5]
    assert [job.state for job in every_state.jobs(4, 5)] == ["pending", "pending"]


def test_hold_and_release(pipe: Pipe, every_state: Queue) -> None:
    done = pipe("rqpy q list p h | rqpy q update state=holding -")
    assert (done.returncode, done.stderr) == (0, "")
    assert jids(done.stdout) == [1, 2]
    assert [job.jid for job in every_state.jobs("holding")] == [1, 2]
    done = pipe("rqpy q list h | rqpy q u state=pending priority=3 | rqpy q u - tag=piped")
    assert [(job.jid, job.priority, job.tag) for job in every_state.jobs("pending")] == [
        (1, 3, "piped"),
        (2, 3, "piped"),
    ]


@pytest.mark.parametrize(
    "filtering",
    [
        """python3 -c '
import sys, yaml
jobs = yaml.safe_load(sys.stdin)
print(yaml.dump([job for job in jobs if "bombing" in job["command"]], explicit_start=True))'""",
        """perl -ne 'if (/^  jid: (\\d+)/) { $jid = $1 } print "$jid\\n" if /^  command: .*bombing/'""",
        """awk '/^  jid:/ { jid = $2 } /^  command: .*bombing/ { print "---\\n- jid:", jid }'""",
    ],
    ids=["python", "perl", "awk"],
)
def test_delete_by_a_filter_in_another_language(pipe: Pipe, queue: Queue, filtering: str) -> None:
    commands = ["bombing_program", "echo: [a, b] # no", "echo ' jid: 1'", "run bombing_program | cat"]
    queue.submit_many([JobSpec(command, env={"A": "x\ny"}) for command in commands])
    filtering = filtering.replace("python3", f'"{sys.executable}"')
    done = pipe(f"rqpy q list | {filtering} | rqpy q d -")
    assert (done.returncode, done.stderr) == (0, "")
    assert [job["command"] for job in yaml.safe_load(done.stdout)] == [commands[0], commands[3]]
    assert [job.jid for job in queue.jobs()] == [2, 3]


def test_what_delete_printed_can_be_submitted_again(pipe: Pipe, queue: Queue) -> None:
    queue.submit_many([JobSpec("true", priority=3, tag="x")])
    assert jids(pipe("rqpy q delete all | rqpy q submit").stdout) == [2]
    assert (queue.job(2).priority, queue.job(2).tag) == (3, "x")


def test_what_query_finds(pipe: Pipe, every_state: Queue) -> None:
    """The examples of rq's README with query."""
    queue = every_state
    for running in queue.jobs("running"):
        with queue.store.write() as tx:
            finish(tx, ended(running, 1))
    done = pipe("rqpy q query exit_status!=0 | rqpy q resubmit -")
    assert (done.returncode, done.stderr, jids(done.stdout)) == (0, "", [RUNNING, DEAD])
    done = pipe("rqpy q q tag=t state=pending | rqpy q u state=holding -")
    assert (done.returncode, done.stderr, jids(done.stdout)) == (0, "", [PENDING, RUNNING, DEAD])
    done = pipe("rqpy q q \"command like '%ca%' and state = 'holding'\" | rqpy q u command=dog")
    assert (done.returncode, done.stderr, jids(done.stdout)) == (0, "", [PENDING, HOLDING, RUNNING, DEAD])
    assert jids(pipe("rqpy q query tag=t state=holding | rqpy q s -").stdout) == [6, 7, 8, 9]
    done = pipe("echo \"command = 'dog'\" | rqpy q q - | rqpy q d -")
    assert (done.returncode, jids(done.stdout)) == (0, [1, 2, 3, 5, 6, 7, 8, 9])


def test_an_empty_listing_is_not_everything(pipe: Pipe, every_state: Queue) -> None:
    for mode in ("delete -", "delete", "update priority=9 -", "update priority=9", "resubmit -", "list -"):
        for source in ("true", "echo '--- []'", "rqpy q list 99 2>/dev/null"):
            done = pipe(f"{source} | rqpy q {mode}")
            assert (done.returncode, done.stdout) == (1, "--- []\n"), mode
            assert done.stderr == "rqpy: stdin names no jobs\n"
    assert len(list(every_state.jobs())) == 5
    assert {job.priority for job in every_state.jobs()} == {0, 7, 8, 9}


def test_jobs_that_do_not_allow_it_are_told_and_the_others_changed(pipe: Pipe, every_state: Queue) -> None:
    done = pipe("rqpy q list | rqpy q update - priority=42")
    assert done.returncode == 1
    assert jids(done.stdout) == [PENDING, HOLDING]
    assert done.stderr == "".join(
        f"rqpy: job {jid} is {state}: not updated\n"
        for jid, state in ((3, "running"), (4, "finished"), (5, "dead"))
    )
    done = pipe("rqpy q list | rqpy q delete - --quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rqpy: job {RUNNING} is running: not deleted\n"


def test_a_closed_pipe_ends_quietly_after_all_is_done(pipe: Pipe, queue: Queue) -> None:
    queue.submit_many([JobSpec("true") for _ in range(5000)])
    for line in ("update all priority=1", "resubmit all", "delete all"):
        done = pipe(f"rqpy q {line} | head -n 3")
        assert (done.stdout.splitlines()[:2], done.stderr) == (["---", "-"], ""), line
    assert list(queue.jobs()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ntwo\n", "stdin line 2: 'two' is no jid"),
        ("0\n", "stdin line 1: '0' is no jid"),
        ("99999999999999999999\n", "is no jid"),
        ("---\n- command: x\n", "stdin line 2: has no jid"),
        ("---\n- jid: -1\n", "'-1' is no jid"),
        ("---\njust text\n", "not a list of jobs"),
        ("---\n- jid: [1]\n", "a list, not a single value"),
        ('[{"jid": 1}]\n', "is no jid: give one per line"),
        ("--- [\n", "is not YAML"),
        ("---\n- jid: 1\n- !!python/name:os.system\n  jid: 2\n", "the tag"),
        ("\xff", "is no jid"),
    ],
)
def test_what_is_no_list_of_jobs_changes_nothing(
    pipe: Pipe, every_state: Queue, text: str, message: str
) -> None:
    before = list(every_state.jobs())
    for mode in ("delete -", "update - tag=x", "resubmit"):
        done = pipe(f"rqpy q {mode}", stdin=text)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(every_state.jobs()) == before


def test_jids_by_line(pipe: Pipe, every_state: Queue) -> None:
    done = pipe("rqpy q list - --fields jid", stdin="\n# comment\n  5\n1\r\n5\n2")
    assert jids(done.stdout) == [1, 2, 5]


def test_what_stdin_is_for_must_be_clear(pipe: Pipe, every_state: Queue) -> None:
    for line in ("update - stdin=-", "resubmit - --stdin=-"):
        done = pipe(f"rqpy q {line}", stdin="1\n")
        assert (done.returncode, "stdin cannot be both" in done.stderr) == (2, True)
    for line in ("update stdin=-", "resubmit --stdin=-"):
        done = pipe(f"rqpy q {line}", stdin="1\n")
        assert (done.returncode, "name the jobs" in done.stderr) == (2, True)
    assert pipe("rqpy q update 1 stdin=-", stdin="new").returncode == 0
    assert every_state.stream(1, "stdin").read_bytes() == b"new"


def test_many_jids_in_little_memory(rqpy: Rqpy, queue: Queue) -> None:
    """The jids that nobody has are told in a few lines."""
    queue.submit("true")
    done = rqpy(
        "list", "-", "--fields", "jid", queue=queue.path, stdin="\n".join(map(str, range(1, 300_001)))
    )
    assert done.returncode == 1
    assert jids(done.stdout) == [1]
    assert len(done.stderr.splitlines()) == 21
    assert "job of 299979 further jids" in done.stderr
    done = rqpy("delete", "-", queue=queue.path, stdin="\n".join(map(str, range(1, 300_001))))
    assert (done.returncode, jids(done.stdout)) == (1, [1])
    assert len(done.stderr.splitlines()) == 21


def test_update_of_readme(rqpy: Rqpy, queue: Queue) -> None:
    """The examples of rq's README for update."""
    queue.submit_many([JobSpec(f"job {number}") for number in range(1, 44)])
    assert jids(rqpy("update", "42", "priority=7", queue=queue.path).stdout) == [42]
    assert len(jids(rqpy("update", "pending", "priority=7", queue=queue.path).stdout)) == 43
    assert jids(rqpy("u", "2", "state=holding", queue=queue.path).stdout) == [2]
    assert 2 not in [job.jid for job in claimed(queue, 43)]
    assert jids(rqpy("u", "2", "state=pending", queue=queue.path).stdout) == [2]
    assert [job.jid for job in claimed(queue)] == [2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1"], "say what to change"),
        (["1", "prio=3"], "'prio': cannot be updated, there are priority command"),
        (["1", "priority=x"], "priority='x': is not a whole number"),
        (["1", "priority="], "is not a whole number"),
        (["1", "restartable=maybe"], "is not true or false"),
        (["1", "state=running"], "is not pending or holding"),
        (["1", "cwd="], "is not a directory"),
        (["1", "priority=1", "priority=2"], "given twice"),
        (["1", "command="], "blank"),
        (["running", "priority=1"], "running jobs cannot be updated"),
        (["x", "priority=1"], "'x': is neither a jid nor a state"),
    ],
)
def test_updates_that_make_no_sense(rqpy: Rqpy, every_state: Queue, words: list[str], message: str) -> None:
    before = list(every_state.jobs())
    done = rqpy("update", *words, queue=every_state.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert list(every_state.jobs()) == before


def test_every_key_of_update(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    queue.submit("one", tag="t")
    (tmp_path / "file").write_text("content")
    words = ["priority=-3", "tag=x", "runner=n", "restartable=true", "stdin=file", "data=file"]
    words += ["state=holding", "cwd=sub", "command=a=b c"]
    done = rqpy("update", *words, "1", queue=queue.path, check=True)
    (job,) = yaml.safe_load(done.stdout)
    assert {name: job[name] for name in ("priority", "command", "tag", "required_runner", "restartable")} == {
        "priority": -3, "command": "a=b c", "tag": "x", "required_runner": "n", "restartable": True,
    }  # fmt: skip
    assert (job["stdin"], job["data"], job["state"], job["cwd"]) == (
        "stdin/1", "data/1", "holding", str(tmp_path / "sub"),
    )  # fmt: skip
    done = rqpy("update", "1", "tag=", "runner=", "stdin=", "data=", queue=queue.path, check=True)
    (job,) = yaml.safe_load(done.stdout)
    assert not {"tag", "required_runner", "stdin", "data"} & set(job)


def test_touch_on_the_command_line(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    (first,) = yaml.safe_load(
        rqpy("touch", "-t", "x", "make", "-j", "4", queue=queue.path, check=True).stdout
    )
    assert (first["command"], first["tag"], first["cwd"]) == ("make -j 4", "x", str(tmp_path))
    words = ["-t", "x", "-p", "7", "--runner=n", "--stage", "--env", "A=b", "make -j 4"]
    (second,) = yaml.safe_load(rqpy("to", *words, queue=queue.path, check=True).stdout)
    assert (second["jid"], second["priority"], second["state"]) == (1, 7, "holding")
    assert (second["required_runner"], second["env"]) == ("n", {"A": "b"})
    assert rqpy("touch", "--quiet", "make", queue=queue.path).stdout == ""
    assert len(list(queue.jobs())) == 2
    assert rqpy("touch", "-", queue=queue.path).returncode == 2
