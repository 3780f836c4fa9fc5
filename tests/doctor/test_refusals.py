"""Mounts that lie are refused by ``create``, ``feed`` and ``doctor``, as the whole commands.

No NFS is mounted here: in a mount namespace of its own, the command finds another text as its
/proc/self/mountinfo, and everything else is real.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import UnsafeMount
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.session import feed
from rq_py.locking import mounts
from tests.conftest import Rqpy, command_line
from tests.doctor.reports import finding_of, report_of

LIES = {
    "nolock": "rw,vers=3,nolock,hard,local_lock=all",
    "soft": "rw,vers=4.2,soft,local_lock=none",
}

OnMount = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def on_mount(tmp_path: Path, rqpy: Rqpy) -> OnMount:
    """Run rqpy where everything seems to lie on an NFS mount with these options."""

    def run(options: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        table = tmp_path / "mountinfo"
        # /var/tmp stays local, as it should be.
        table.write_text(
            f"27 1 0:1 / / rw - nfs srv:/export {options}\n28 27 0:2 / /var/tmp rw - ext4 /dev/sda rw\n"
        )
        script = 'mount --bind "$0" /proc/$$/mountinfo && exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, table, *command_line(*arguments)],
            env=rqpy.environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.stderr.startswith(("unshare: ", "mount: ")):
            pytest.skip(f"NOT TESTED: no mount namespace here: {done.stderr.strip()}")
        return done

    return run


@pytest.mark.root
@pytest.mark.parametrize("lie", LIES)
def test_create_and_feed_refuse_it(on_mount: OnMount, queue_path: Path, lie: str) -> None:
    made = on_mount(LIES[lie], queue_path, "create")
    assert (made.returncode, made.stdout) == (1, "")
    assert f"is mounted with {lie}," in made.stderr
    assert len(made.stderr.splitlines()) == 1
    assert not queue_path.exists()
    queue = Queue.create(queue_path)
    queue.submit("true")
    fed = on_mount(LIES[lie], queue_path, "feed", "--until-empty", "--allow-root")
    assert fed.returncode == 1
    assert f"is mounted with {lie}," in fed.stderr
    assert len(fed.stderr.splitlines()) == 1
    assert [job.state for job in queue.jobs()] == ["pending"]


@pytest.mark.root
@pytest.mark.parametrize("lie", LIES)
def test_doctor_says_what_lies(on_mount: OnMount, queue_path: Path, lie: str) -> None:
    Queue.create(queue_path)
    done = on_mount(LIES[lie], queue_path, "doctor")
    assert done.returncode == 1
    assert report_of(done)["verdict"] == "unsafe"
    assert any(
        finding["verdict"] == "unsafe" and f"is mounted with {lie}:" in finding["what"]
        for finding in report_of(done)["findings"]
    )
    assert any("exportfs" in note for note in report_of(done)["notes"])


@pytest.mark.root
def test_a_good_mount_is_accepted(on_mount: OnMount, queue_path: Path) -> None:
    """The negative control: with the same means and other options nothing is refused."""
    options = "rw,vers=4.2,hard,local_lock=none"
    assert on_mount(options, queue_path, "create").returncode == 0
    done = on_mount(options, queue_path, "doctor")
    assert done.returncode == 0
    assert finding_of(done, "nfs_version")["verdict"] == "ok"
    assert on_mount(options, queue_path, "feed", "--until-empty").returncode == 0


def test_feed_looks_at_the_mount(queue_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for whoever is not root, from Python."""
    Queue.create(queue_path)
    table = tmp_path / "mountinfo"
    table.write_text(f"27 1 0:1 / / rw - nfs srv:/x {LIES['nolock']}\n")
    monkeypatch.setattr(mounts, "_MOUNTINFO", table)
    with pytest.raises(UnsafeMount, match="mounted with nolock"):
        feed(FeedOptions(queue=str(queue_path)))
