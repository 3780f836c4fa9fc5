"""A queue that a group shares: one user submits, another one's feeder runs the job, both read the result."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from rq_py import Queue, State
from tests.waiting import wait_until

pytestmark = pytest.mark.root

GROUP, ANN, BOB, EVE = "rqpytest", "rqpyann", "rqpybob", "rqpyeve"


@pytest.fixture
def users() -> Iterator[None]:
    """A group with two members, and a stranger; made by the system's own tools, and removed again."""
    if shutil.which("useradd") is None:
        pytest.skip("NOT TESTED: there is no useradd to make two users with")
    _remove_users()
    subprocess.run(["groupadd", GROUP], check=True)
    for name, groups in ((ANN, GROUP), (BOB, GROUP), (EVE, "")):
        subprocess.run(
            ["useradd", "-M", "-N", "-g", "nogroup", "-G", groups, "-s", "/bin/sh", name], check=True
        )
    yield
    _remove_users()


def _remove_users() -> None:
    for name in (ANN, BOB, EVE):
        subprocess.run(["userdel", "-f", name], check=False, capture_output=True)
    subprocess.run(["groupdel", GROUP], check=False, capture_output=True)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is root's alone."""
    with tempfile.TemporaryDirectory(prefix="rqpy-group-") as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


@pytest.fixture
def python(users: None, shared: Path) -> list[str]:
    """A Python that any user can run, with a copy of rq_py and of what it needs.

    The tests' own interpreter and checkout often lie below a home that is closed to others.
    """
    library = shared / "lib"
    for name in ("rq_py", "click", "filelock", "psutil", "yaml", "_yaml"):
        found = importlib.util.find_spec(name)
        for place in found.submodule_search_locations or () if found else ():
            shutil.copytree(place, library / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX", library], check=True)
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    for program in (sys.executable, system):
        check = (
            f"import sys; sys.path.insert(0, {str(library)!r}); import rq_py.queue, yaml, psutil, filelock"
        )
        with suppress(PermissionError):
            subprocess.run(
                [program, "-c", check],
                user=ANN,
                group="nogroup",
                extra_groups=[],
                cwd="/",
                env={},
                check=True,
                capture_output=True,
            )
            return [program, str(library)]
    pytest.skip(f"NOT TESTED: other users can run neither {sys.executable} nor {system}")


class User:
    """Runs rqpy as another user, with that user's groups, home and umask."""

    def __init__(
        self, name: str, folder: Path, environment: Mapping[str, str], python: Sequence[str]
    ) -> None:
        account = pwd.getpwnam(name)
        self.uid, self._gid = account.pw_uid, account.pw_gid
        self._groups = [entry.gr_gid for entry in grp.getgrall() if name in entry.gr_mem]
        self._folder = folder / name
        self._folder.mkdir()
        os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._program, library = python
        self._environment = {**environment, "HOME": str(self._folder), "PYTHONPATH": library}

    def rqpy(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        with self.start(*arguments) as process:
            stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start and return at once."""
        return subprocess.Popen(
            [self._program, "-m", "rq_py", *map(str, arguments)],
            env=self._environment,
            cwd=self._folder,
            umask=0o077,
            user=self.uid,
            group=self._gid,
            extra_groups=self._groups,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def assert_shared(path: Path) -> None:
    """All that is in a queue, or in a copy of one, is the group's and nobody else's."""
    for file in (path, *path.rglob("*")):
        found = file.lstat()
        assert found.st_gid == grp.getgrnam(GROUP).gr_gid, f"{file} is not the group's"
        assert file.is_symlink() or found.st_mode & 0o007 == 0, f"{file} is open to others"
        if not file.is_symlink():
            wanted = 0o2070 if file.is_dir() else 0o060
            assert found.st_mode & wanted == wanted, f"{file} cannot be used by the group"


def test_two_users_submit_to_and_feed_one_queue(
    shared: Path, environment: dict[str, str], python: list[str]
) -> None:
    ann, bob, eve = (User(name, shared, environment, python) for name in (ANN, BOB, EVE))
    path = shared / "q"
    made = ann.rqpy(path, "create", "--group", GROUP, "shell=sh", "login=never")
    assert made.returncode == 0, made.stderr
    by_ann = ann.rqpy(path, "submit", "--stdin", "/etc/hostname", "--cwd", "/", "id -u; cat; umask")
    by_bob = bob.rqpy(path, "submit", "--cwd", "/", "id -u; umask")
    assert (by_ann.returncode, by_bob.returncode) == (0, 0), by_ann.stderr + by_bob.stderr

    # Bob's feeder runs both, under bob's uid and with his umask; ann reads what hers printed.
    feeder = bob.rqpy(path, "feed", "--until-empty")
    assert feeder.returncode == 0, feeder.stderr
    host = Path("/etc/hostname").read_text()
    assert ann.rqpy(path, "stdout", "1").stdout == f"{bob.uid}\n{host}0077\n"
    assert bob.rqpy(path, "stdout", "2").stdout == f"{bob.uid}\n0077\n"

    # And the other way round, on the database and journal that bob has written last.
    assert ann.rqpy(path, "submit", "--cwd", "/", "id -u").returncode == 0
    feeder = ann.rqpy(path, "feed", "--until-empty")
    assert feeder.returncode == 0, feeder.stderr
    assert bob.rqpy(path, "stdout", "3").stdout == f"{ann.uid}\n"
    assert_shared(path)

    # Both can have a feeder on this node at the same time; a stranger can do nothing.
    feeders = [user.start(path, "feed") for user in (ann, bob)]
    wait_until(lambda: len(list((path / "feeders").iterdir())) == 2)
    for process in feeders:
        process.terminate()
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    stranger = eve.rqpy(path, "submit", "true")
    assert stranger.returncode == 1
    assert len(stranger.stderr.splitlines()) == 1
    assert str(path) in stranger.stderr
    wait_until(lambda: {job.state for job in Queue(path).jobs()} == {State.FINISHED})


def test_copies_of_a_groups_queue_are_the_groups(
    shared: Path, environment: dict[str, str], python: list[str]
) -> None:
    ann, bob, eve = (User(name, shared, environment, python) for name in (ANN, BOB, EVE))
    data = shared / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").write_text("deep\n")
    for folder in (data, data / "deep"):
        folder.chmod(0o755)
    (data / "deep" / "file").chmod(0o644)
    path = shared / "q"

    def run(user: User, *words: str | Path) -> str:
        done = user.rqpy(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
        return done.stdout

    run(ann, path, "create", "--group", GROUP, "shell=sh", "login=never")
    run(
        ann,
        path,
        "submit",
        "--stdin",
        "/etc/hostname",
        "--data",
        data,
        "--cwd",
        "/",
        "cat $RQ_DATA/deep/file",
    )
    run(bob, path, "submit", "--stdin", "/etc/hostname", "--cwd", "/", "echo $RQ_JID")
    run(bob, path, "submit", "--stage", "--data", data, "--cwd", "/", "cat $RQ_DATA/deep/file")
    run(bob, path, "feed", "--until-empty", "--verbosity", "fatal")

    run(ann, path, "snapshot", shared / "snapshot")
    run(bob, path, "backup", shared / "backup")
    run(ann, path, "rotate", shared / "rotation")
    for name, reader in (("snapshot", bob), ("backup", ann), ("rotation", bob)):
        assert_shared(shared / name)
        assert "jid: 2\n" in run(reader, shared / name, "list", "finished")
        stranger = eve.rqpy(shared / name, "list")
        assert (stranger.returncode, stranger.stdout, stranger.stderr.count("\n")) == (1, "", 1)
    for name in ("backup", "rotation"):
        for user in (ann, bob):
            assert run(user, shared / name, "stdout", "1", "2") == "deep\n2\n"
    assert_shared(path)

    # A backup is a queue, of which each of them can run the rest, and either may make the snapshot anew.
    run(ann, shared / "backup", "update", "3", "state=pending", "--quiet")
    run(ann, shared / "backup", "feed", "--until-empty", "--verbosity", "fatal")
    assert run(bob, shared / "backup", "stdout", "3") == "deep\n"
    run(bob, shared / "backup", "delete", "1", "--quiet")
    run(bob, path, "snapshot", shared / "snapshot")
    assert run(ann, shared / "snapshot", "list", "--fields", "jid") == "---\n-\n  jid: 3\n"
