"""Each protection, taken away, breaks a promise that the oracle sees; with the protection nothing is broken.

The PERSIST journal and the lock on the journal protect against what only NFS does: here it is only shown that
these mutants are what they say. The scenarios that break with them are in tests/nfs/.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rq_py import Queue
from tests.oracle.checker import Expected
from tests.oracle.mutants.sitecustomize import MUTANTS as TABLE
from tests.oracle.scene import MUTANTS, REPOSITORY, Scene, go_on, mutated, stop
from tests.store.children import LOOKER, child
from tests.waiting import wait_until


@pytest.fixture
def scene(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A queue with short leases."""
    monkeypatch.setenv("RQ_NODE", environment["RQ_NODE"])
    return Scene(tmp_path, environment, "lock_lease=1", "node_lease=2")


def rules(scene: Scene, expected: Expected | None = None) -> set[str]:
    """The rules that were broken."""
    return {violation.rule for violation in scene.violations(expected)}


def assert_broken(found: set[str], expected: set[str]) -> None:
    """These rules at least are broken; where it is none, none is."""
    assert found >= expected if expected else not found, found


@contextmanager
def feeding(
    scene: Scene, *words: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A feeder in the foreground, killed at the end of the block."""
    process = subprocess.Popen(
        scene.command("feed", *words),
        env={**scene.environment, **(env or {})},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mutant", TABLE)
def test_every_mutant_still_applies(mutant: str, environment: dict[str, str]) -> None:
    program = "".join(f"import {module}\n" for module in TABLE[mutant])
    words = [sys.executable, "-P", "-c", program]
    done = subprocess.run(
        words, env=mutated(environment, mutant), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_mutant_that_does_not_exist_runs_nothing(environment: dict[str, str]) -> None:
    words = [sys.executable, "-c", "print('ran')"]
    done = subprocess.run(
        words, env=mutated(environment, "bogus"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (70, "")


def test_the_switch_reaches_feeders_in_the_background_and_runners(scene: Scene) -> None:
    env = mutated(scene.environment, "no-frozen-check")
    scene.rqpy("start", env=env)
    words = {"rq_py.feeder.__main__": b"rq_py.feeder", "rq_py.runner": b"rq_py.runner"}
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            variables = (path / "environ").read_bytes().split(b"\0")
            line = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if f"RQ_NODE={scene.environment['RQ_NODE']}".encode() not in variables:
            continue
        for name, word in words.items():
            if word in line:
                found.add(name)
                assert b"RQ_TEST_MUTANT=no-frozen-check" in variables
                assert any(v.startswith(b"PYTHONPATH=") and bytes(MUTANTS) in v for v in variables), variables
                assert b"\0-I\0" not in line
                assert b"\0-E\0" not in line
    assert found == set(words)
    scene.rqpy("stop")


@pytest.mark.parametrize(
    ("mutant", "expected"), [("", set()), ("unguarded-transition", {"terminal-rewritten"})]
)
def test_a_lost_node_that_returns_changes_nothing(scene: Scene, mutant: str, expected: set[str]) -> None:
    """Its job was buried, resubmitted by a person and finished elsewhere; only then its exit arrives."""
    env = mutated(scene.environment, mutant)
    other = env | {"RQ_NODE": f"{env['RQ_NODE']}-2"}
    scene.submit([scene.job(1.0)])
    with feeding(scene, env=env) as lost:
        wait_until(lambda: scene.started() == 1, 60)
        lost.kill()
    with feeding(scene, env=other):
        wait_until(lambda: scene.states()[1] == ("dead", 1), 60)
        scene.rqpy("resubmit", "1")
        wait_until(lambda: scene.states()[1] == ("finished", 2), 60)
        scene.rqpy("feed", "--until-empty", env=env)
    assert_broken(rules(scene, Expected(resubmitted={1})), expected)


@pytest.mark.parametrize(("mutant", "expected"), [("", set()), ("no-frozen-check", {"lost"})])
def test_a_submitter_that_slept_through_a_new_generation_is_told_so(
    scene: Scene, mutant: str, expected: set[str]
) -> None:
    # So many that it is stopped within its transaction, whenever the record is seen.
    commands = [f"true {position}" for position in range(20_000)]
    outcomes: list[str] = []
    env = mutated(scene.environment, mutant)
    late = threading.Thread(target=lambda: outcomes.append(scene.submit(commands, env=env).outcome))
    late.start()
    pid = wait_until(scene.holder, 60, interval=0.001)
    assert pid is not None
    stop(pid)
    try:
        assert scene.holder() == pid
        assert scene.submit([scene.job()]).outcome == "acknowledged"  # by whom a new generation is made
    finally:
        go_on(pid)
        late.join(60)
    scene.rqpy("feed", "--until-empty")
    assert outcomes == ["acknowledged" if mutant else "failed"]
    assert rules(scene) == expected


@pytest.mark.parametrize(("mutant", "expected"), [("", set()), ("launch-before-commit", {"started-twice"})])
def test_a_feeder_killed_before_its_commit_has_launched_nothing(
    scene: Scene, tmp_path: Path, mutant: str, expected: set[str]
) -> None:
    fifo = tmp_path / "at"
    os.mkfifo(fifo)
    scene.submit([scene.job(0.3)])
    env = mutated(scene.environment, mutant) | {"RQ_TEST_PAUSE_AT": f"claimed:{fifo}"}
    with feeding(scene, env=env) as feeder:
        assert fifo.read_text() == "claimed"
        wait_until(lambda: "State:\tT" in Path(f"/proc/{feeder.pid}/status").read_text(), 60)
        if mutant:
            wait_until(lambda: scene.started() == 1, 60)
        feeder.kill()
    scene.rqpy("feed", "--until-empty", env=mutated(scene.environment, mutant))
    assert_broken(rules(scene), expected)


#: Changes all jobs in one transaction that is too large for the cache, and dies right after its COMMIT.
_LATE_WRITER = """
from rq_py.store import transaction
transaction.check_acknowledged = lambda generation: os.kill(os.getpid(), signal.SIGKILL)
with Queue(arguments[0]).store.write() as tx:
    tx.execute("PRAGMA cache_size = 10")
    tx.execute("UPDATE jobs SET priority = 7 WHERE jid <= 1000")
    say("spilled")
    hear()
    tx.execute("UPDATE jobs SET priority = 7")
"""

#: Makes the next generation, and waits once, between the copies of database and journal.
_MAKER = """
from rq_py.store import successor
copy_file = successor._copy_file
def copy_and_wait(*values):
    copy_file(*values)
    successor._copy_file = copy_file
    say("copied")
    hear()
successor._copy_file = copy_and_wait
queue = Queue(arguments[0])
queue.store.generations.supersede(queue.dir.generation(1), "a test")
say("made")
"""


@pytest.mark.parametrize(("mutant", "halves"), [("", False), ("copy-once", True)])
def test_an_edit_that_is_committed_during_the_copy_is_in_it_whole(
    scene: Scene, mutant: str, halves: bool
) -> None:
    """Priority, because the jobs hold: a column in no index, so that integrity_check sees nothing wrong."""
    scene.submit([f"true {position} {'x' * 100}" for position in range(2000)], "--stage")
    queue = Queue(scene.queue)
    with child(_LATE_WRITER, scene.queue) as writer, ExitStack() as stack:
        writer.expect("spilled")
        paths = {"PYTHONPATH": f"{MUTANTS}:{REPOSITORY}", "RQ_TEST_MUTANT": mutant}
        maker = stack.enter_context(child(_MAKER, scene.queue, env=paths))
        maker.expect("copied")
        writer.tell()
        assert writer.end() == -signal.SIGKILL
        maker.tell()
        if maker.line() != "made":
            assert halves, maker.end()  # a copy of halves need not even be a database
            return
    assert queue.store.generations.current().number == 2
    found = {job.priority for job in Queue(scene.queue).jobs()}
    assert (len(found) > 1) == halves, found
    assert scene.collected().queue.integrity == "ok"


_HOLDER = """
with Queue(arguments[0]).store.write() as tx:
    tx.execute("UPDATE generation SET number = number")
    say("inside")
    hear()
"""


@pytest.mark.parametrize(("mutant", "expected"), [("", "locked"), ("no-journal-lock", "free")])
def test_the_lock_on_the_journal_is_there_and_is_not(scene: Scene, mutant: str, expected: str) -> None:
    env = {"PYTHONPATH": f"{MUTANTS}:{REPOSITORY}", "RQ_TEST_MUTANT": mutant}
    with child(_HOLDER, scene.queue, env=env) as holder:
        holder.expect("inside")
        with child(LOOKER, scene.queue / "db.1" / "queue.db-journal") as looker:
            looker.expect(expected)


@pytest.mark.parametrize(
    ("mutant", "size"),
    [
        ("", "something"),
        ("journal-delete", "gone"),
        ("journal-truncate", "nothing"),
        ("journal-delete-revalidated", "nothing"),  # the last reader has made it anew, to look at it
        ("journal-truncate-revalidated", "nothing"),
    ],
)
def test_the_journal_is_what_the_mutant_says_and_all_works(scene: Scene, mutant: str, size: str) -> None:
    env = mutated(scene.environment, mutant)
    scene.submit([scene.job() for _ in range(5)], env=env)
    scene.rqpy("feed", "--until-empty", env=env)
    journal = scene.queue / "db.1" / "queue.db-journal"
    found = ("something" if journal.stat().st_size else "nothing") if journal.exists() else "gone"
    assert found == size
    assert rules(scene) == set()
