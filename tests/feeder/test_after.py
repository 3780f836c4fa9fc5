"""Jobs after other jobs through the command line, with several feeders, which are killed in between."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from rq_py import Job, JobSpec, Queue, State
from tests.conftest import Rqpy
from tests.feeder.conftest import Feed, Gate, becomes
from tests.feeder.stopping import Stopped
from tests.waiting import wait_until

WORKFLOW = """---
- name: build
  command: echo build >> {log}
- name: unit
  command: echo unit >> {log}; exit 1
  after: build
- name: lint
  command: echo lint >> {log}
  after: build
- name: publish
  command: echo publish >> {log}
  after: [unit, lint]
- command: echo report >> {log}
  after: ['unit:any', 'publish:any', lint]
- command: echo sorry >> {log}
  after:
  - unit:failed
"""


def _has_lines(path: Path, count: int) -> bool:
    """Whether a file is there and has so many lines."""
    return path.exists() and path.read_text().count("\n") >= count


def ended(queue: Queue) -> list[Job]:
    """Wait until all jobs have ended."""
    wait_until(lambda: all(job.state in (State.FINISHED, State.DEAD) for job in queue.jobs()), 60)
    return list(queue.jobs())


def test_a_workflow_runs_in_its_order(queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path) -> None:
    for node in ("one", "two", "three"):
        feed("--max-feed=2", env={"RQ_NODE": node})
    log = tmp_path / "log"
    rqpy("submit", "-q", queue=queue.path, stdin=WORKFLOW.format(log=log), check=True)
    jobs = ended(queue)
    words = log.read_text().split()
    assert words[0] == "build"
    assert sorted(words[1:3]) == ["lint", "unit"]
    assert sorted(words[3:]) == ["report", "sorry"]
    assert [job.exit_status for job in jobs] == [0, 1, 0, None, 0, 0]
    assert (jobs[3].state, jobs[3].reason, jobs[3].attempt) == (State.DEAD, "dependency", 0)
    # Once more as a whole: a copy is after copies, and by their jids, for the listing has no names.
    listing = rqpy("list", queue=queue.path, check=True).stdout
    copies = yaml.safe_load(rqpy("submit", queue=queue.path, stdin=listing, check=True).stdout)
    assert [one.get("after") for one in copies] == [
        None, [7], [7], [8, 9], ["8:any", 9, "10:any"], ["8:failed"],
    ]  # fmt: skip
    assert [job.exit_status for job in ended(queue)][6:] == [0, 1, 0, None, 0, 0]
    assert sorted(log.read_text().split()) == sorted(words * 2)


def test_options_say_what_a_job_is_after(queue: Queue, rqpy: Rqpy) -> None:
    for _ in range(3):
        rqpy("submit", "-q", "true", queue=queue.path, check=True)
    submit = ("submit", "--fields=jid,after,collect")
    done = rqpy(*submit, "--after=1,2:any", "--after", "3:failed", "--collect", "true", queue=queue.path)
    assert yaml.safe_load(done.stdout) == [{"jid": 4, "after": [1, "2:any", "3:failed"], "collect": True}]
    done = rqpy("list", "4", "--output=jsonl", "--fields=after", queue=queue.path)
    assert done.stdout == '{"after": [1, "2:any", "3:failed"]}\n'
    rqpy("touch", "-q", "--after=2", "later", queue=queue.path, check=True)
    rqpy("touch", "-q", "--after=3", "later", queue=queue.path, check=True)
    assert queue.job(5).after == "[3]"
    rqpy("update", "5", "after=1,4:any", queue=queue.path, check=True)
    assert queue.job(5).after == '[1,"4:any"]'
    rqpy("resubmit", "-q", "--after=", "5", queue=queue.path, check=True)
    assert queue.job(5).after is None
    done = rqpy("query", "after IS NOT NULL", "--fields=jid", queue=queue.path, check=True)
    assert yaml.safe_load(done.stdout) == [{"jid": 4}]
    text = "---\n- {command: a, name: x, after: '1,2:any'}\n- {command: b, after: [x:any, 3]}\n"
    done = rqpy("submit", "--fields=after", queue=queue.path, stdin=text)
    assert yaml.safe_load(done.stdout) == [{"after": [1, "2:any"]}, {"after": [3, "6:any"]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {command: a, after: b}", "no job of this submit is called so"),
        ("- {command: a, after: [17]}", "there is no job 17"),
        ("- {command: a, name: a, after: b}\n- {command: b, name: b, after: [a]}", "would be after itself"),
        ("- {command: a, after: {b: ok}}", "a mapping"),
        ("- {command: a, after: [[b]]}", "a list"),
        ("- {command: a, after: 'b:soon'}", "none of ok failed any"),
        ("- {command: a, name: 7}", "name"),
        ("- {command: a, collect: true}", "after no others"),
    ],
)
def test_what_cannot_be_is_refused(queue: Queue, rqpy: Rqpy, text: str, message: str) -> None:
    done = rqpy("submit", queue=queue.path, stdin=f"---\n- command: first\n{text}\n")
    assert (done.returncode, done.stderr.count("\n"), list(queue.jobs())) == (2, 1, [])
    assert message in done.stderr


def test_a_collector_reads_what_the_others_wrote(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    feed("--max-feed=3")
    submit = ("submit", "-q")
    for jid in (1, 2, 3):
        rqpy(
            *submit, f"echo from {jid}; echo noise >&2; exit $(( {jid} == 2 ))", queue=queue.path, check=True
        )
    rqpy(*submit, "--runner=nowhere", "--expires=+0", "true", queue=queue.path, check=True)
    collector = 'cat; echo "after $RQ_AFTER, $RQ_COLLECT"; exit 7'
    after = "--after=4:any,3,1,2:any"
    rqpy(*submit, after, "--collect", collector, queue=queue.path, check=True)
    rqpy(*submit, "--after=5:failed", "--collect", "read one; echo only $one", queue=queue.path, check=True)
    last = ended(queue)[-1]
    assert queue.stream(5, "stdout").read_text() == "from 1\nfrom 2\nfrom 3\nafter 1 2 3 4, true\n"
    assert queue.stream(5, "stderr").read_text() == ""
    assert queue.job(5).exit_status == 7
    assert queue.stream(6, "stdout").read_text() == "only from 1\n"
    assert (last.jid, last.exit_status) == (6, 0)
    done = rqpy("submit", "--after=1", "--collect", "--stdin=/dev/null", "true", queue=queue.path)
    assert (done.returncode, "another stdin" in done.stderr) == (2, True)


def test_a_collector_of_very_many_has_a_file_that_lists_them(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    count = 30_000
    queue.submit_many(JobSpec("true", stage=True) for _ in range(count))
    queue.execute("update jobs set state = 'finished', exit_status = 0")
    for jid, text in ((1, "first\n"), (count, "last\n")):
        (queue.path / "stdout" / str(jid)).write_text(text)
    command = 'cat; wc -l < "$RQ_AFTER_FILE"; tail -n 1 "$RQ_AFTER_FILE"; echo "$RQ_JOB" | grep -c .'
    job = queue.submit(command, after=range(1, count + 1), collect=True)
    feed("--until-empty").ends()
    assert becomes(queue, job.jid, State.FINISHED).exit_status == 0
    said = queue.stream(job.jid, "stdout").read_text().split()
    assert said[:-1] == ["first", "last", str(count), str(count)]
    assert int(said[-1]) < 100, "the list is not in RQ_JOB as well"
    queue.delete("all")
    assert list((queue.path / "stdin").iterdir()) == []


@pytest.mark.parametrize("point", ["recorded", "committed"])
def test_a_feeder_that_is_killed_loses_no_end(queue: Queue, feed: Feed, tmp_path: Path, point: str) -> None:
    """Before the commit nothing has happened, after it what follows is open."""
    queue.submit("exit 3")
    queue.submit("true", after="1:failed")
    queue.submit("true", after="1,2")
    queue.submit("true", after="2,3:any", runner="two")
    first = feed("--until-empty")
    assert first.ends() == 0
    assert [job.state for job in queue.jobs()] == [State.FINISHED, State.FINISHED, State.DEAD, State.PENDING]
    queue.resubmit("finished")
    stopped = Stopped(feed, tmp_path, point)
    stopped.feeder.kill()
    for node in (None, "two"):
        feed(env={"RQ_NODE": node} if node else None)
    assert becomes(queue, 4, State.FINISHED).attempt == 1
    assert [job.exit_status for job in queue.jobs()] == [3, 0, None, 0]


def test_feeders_that_are_killed_again_and_again_keep_the_order(
    queue: Queue, feed: Feed, tmp_path: Path
) -> None:
    """A chain and a collector: each job finds what the ones before it have written, each ran once."""
    log = tmp_path / "log"
    last = 12
    for jid in range(1, last + 1):
        queue.submit(f"echo {jid} >> {log}; echo {jid}; sleep 0.1", after=[jid - 1] if jid > 1 else [])
    queue.submit("cat", after=range(1, last + 1), collect=True)
    feeders = [feed(env={"RQ_NODE": node}) for node in ("one", "two")]
    for seen in (2, 5, 8):
        wait_until(partial(_has_lines, log, seen))
        for number, node in enumerate(("one", "two")):
            feeders[number].kill()
            feeders[number] = feed(env={"RQ_NODE": node})
    becomes(queue, last + 1, State.FINISHED)
    numbers = [str(jid) for jid in range(1, last + 1)]
    assert log.read_text().split() == numbers
    assert queue.stream(last + 1, "stdout").read_text().split() == numbers


def test_what_a_person_does_is_settled_by_the_next_feeder(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    """There was no feeder, and those that are started have nothing else to do."""
    queue.submit_many([JobSpec("true", stage=True), JobSpec("true", stage=True)])
    queue.submit("true", after="1:any")
    queue.submit("true", after="2")
    rqpy("delete", "-q", "1", "2", queue=queue.path, check=True)
    for node in ("one", "two"):
        feed(env={"RQ_NODE": node})
    assert becomes(queue, 4, State.DEAD).reason == "dependency"
    becomes(queue, 3, State.FINISHED)
    rqpy("resubmit", "-q", "4", "--after=3", queue=queue.path, check=True)
    becomes(queue, 4, State.FINISHED)


def test_a_held_job_holds_those_after_it(queue: Queue, feed: Feed, gate: Gate, rqpy: Rqpy) -> None:
    queue.submit(gate.command)
    queue.submit("true", after=1, stage=True)
    queue.submit("true", after=2)
    feed("--max-feed=2")
    gate.open(1)
    becomes(queue, 1, State.FINISHED)
    assert queue.job(3).state is State.PENDING
    rqpy("update", "2", "state=pending", queue=queue.path, check=True)
    becomes(queue, 3, State.FINISHED)
    first, second = queue.job(2), queue.job(3)
    assert (first.finished or "") <= (second.started or "")


def test_a_feeder_settles_all_before_it_ends(queue: Queue, feed: Feed) -> None:
    """Also more than one transaction changes."""
    queue.submit("exit 1")
    queue.submit_many(JobSpec("true", after=[1]) for _ in range(11_000))
    assert feed("--until-empty").ends() == 0
    assert {job.state for job in queue.jobs()} == {State.FINISHED, State.DEAD}


def test_a_collector_need_not_read_to_the_end(queue: Queue, feed: Feed) -> None:
    queue.submit("head -c 1000000 /dev/zero | tr '\\0' x")
    queue.submit("head -c 3", after=1, collect=True)
    assert feed("--until-empty").ends() == 0
    assert queue.job(2).exit_status == 0
    assert queue.stream(2, "stdout").read_text() == "xxx"
    assert queue.stream(2, "stderr").read_text() == ""
