"""What root refuses to feed: every place through which somebody else could have root run their commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.errors import FeederError
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.session import feed
from rq_py.writers import way_to
from tests.conftest import Rqpy

pytestmark = pytest.mark.root

STRANGER = 65534
PARTS = [
    *(".", "stdin", "stdout", "stderr", "data", "bin", "feeders", "inbox"),
    *("queue.yml", "generation", "bin/rqmailer"),
    *("db.1", "db.1/queue.db", "db.1/queue.db-journal", "db.1/lock", "db.1/frozen", "db.1/maker"),
    *("db.2", "db.2/queue.db", "db.2/queue.db-journal", "db.2/lock", "db.2/frozen", "db.2/maker"),
]


@pytest.fixture
def queue(queue: Queue) -> Queue:
    """With a job that must not run, and a second generation: the first may be thawed again."""
    queue.store.generations.supersede(queue.store.generations.current(), "a test")
    queue.submit("true", cwd="/")
    return queue


def refusal(path: Path) -> str:
    """What is said instead of feeding; nothing was run."""
    with pytest.raises(FeederError, match="and root would run their commands") as caught:
        feed(FeedOptions(str(path), 1, until_empty=True))
    assert Queue(path).job(1).state is State.PENDING
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("part", PARTS)
def test_every_part_that_somebody_else_owns_or_can_write(queue: Queue, part: str) -> None:
    path = queue.path / part
    mode = path.stat().st_mode & 0o7777
    for bits, who in ((0o020, "group root"), (0o002, "everybody"), (0o1002, "everybody")):
        path.chmod(mode | bits)
        assert f"{path}: {who} can write it" in refusal(queue.path)
    path.chmod(mode)
    os.chown(path, STRANGER, -1)
    assert f"{path}: nobody can write it" in refusal(queue.path)


def test_a_queue_that_others_can_only_read(queue: Queue, rqpy: Rqpy) -> None:
    for path in (queue.path, *queue.path.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    fed(rqpy, queue.path)


def fed(rqpy: Rqpy, path: Path) -> None:
    """Root feeds it."""
    done = rqpy("feed", "--until-empty", queue=path)
    assert done.returncode == 0, done.stderr
    assert Queue(path).job(1).state is State.FINISHED


def test_with_allow_root_it_is_fed(queue: Queue, rqpy: Rqpy) -> None:
    (queue.path / "bin").chmod(0o777)
    for mode in ("feed", "start"):
        refused = rqpy(mode, *(["--until-empty"] if mode == "feed" else []), queue=queue.path)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert f"{queue.path}/bin: group root and everybody can write it" in refused.stderr
    assert rqpy("feed", "--until-empty", "--allow-root", queue=queue.path).returncode == 0
    assert queue.job(1).state is State.FINISHED


Prepare = Callable[[Path, Path], Path]


def everybodys_folder(place: Path, queue: Path) -> Path:
    place.chmod(0o777)
    return queue


def strangers_folder(place: Path, queue: Path) -> Path:
    os.chown(place, STRANGER, -1)
    return queue


def groups_folder(place: Path, queue: Path) -> Path:
    os.chown(place, 0, 1)
    place.chmod(0o775)
    return queue


def strangers_link_in_a_sticky_folder(place: Path, queue: Path) -> Path:
    link = place.parent / "tmp" / "link"
    link.parent.mkdir()
    link.parent.chmod(0o1777)
    link.symlink_to(queue)
    os.chown(link, STRANGER, -1, follow_symlinks=False)
    return link


def link_in_a_strangers_folder(place: Path, queue: Path) -> Path:
    link = place.parent / "theirs" / "link"
    link.parent.mkdir()
    link.symlink_to(f"../{place.name}/{queue.name}")
    os.chown(link.parent, STRANGER, -1)
    return link


def programs_in_a_strangers_folder(place: Path, queue: Path) -> Path:
    theirs = place.parent / "theirs"
    theirs.mkdir()
    (queue / "bin").rename(theirs / "bin")
    (queue / "bin").symlink_to(theirs / "bin")
    os.chown(theirs, STRANGER, -1)
    return queue


@pytest.mark.parametrize(
    "prepare",
    [
        everybodys_folder,
        strangers_folder,
        groups_folder,
        strangers_link_in_a_sticky_folder,
        link_in_a_strangers_folder,
        programs_in_a_strangers_folder,
    ],
    ids=lambda prepare: prepare.__name__,
)
def test_where_somebody_can_put_another_queue_in_its_place(
    queue: Queue, tmp_path: Path, prepare: Prepare
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    moved = queue.path.rename(place / "q")
    assert "can put another queue in its place" in refusal(prepare(place, moved))


def test_a_sticky_folder_and_a_link_of_roots_own_will_do(queue: Queue, tmp_path: Path, rqpy: Rqpy) -> None:
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (sticky / "link").symlink_to(queue.path)
    fed(rqpy, sticky / "link")


@pytest.mark.parametrize("target", ["tool", "gone/tool", "../tmp/tool"])
def test_a_program_that_leads_to_nothing_which_everybody_can_make(
    queue: Queue, tmp_path: Path, rqpy: Rqpy, target: str
) -> None:
    sticky = tmp_path / "tmp"
    sticky.mkdir()
    tool = queue.path / "bin" / "tool"
    tool.symlink_to(sticky / target)
    sticky.chmod(0o755)
    fed(rqpy, queue.path)
    queue.resubmit(1)
    for mode, who in ((0o1777, "everybody"), (0o777, "everybody")):
        sticky.chmod(mode)
        assert f"{tool}: leads nowhere, and {who} can make what it leads to, in {sticky}" in refusal(
            queue.path
        )
    sticky.chmod(0o1755)
    os.chown(sticky, STRANGER, -1)
    assert "nobody can make what it leads to" in refusal(queue.path)


def names(path: Path) -> Iterator[str]:
    return (str(place) for place, _ in way_to(path))


def test_the_way_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to-b").symlink_to("a/b")
    (tmp_path / "up").symlink_to("to-b/..")
    (tmp_path / "round").symlink_to("round")
    found = list(names(tmp_path / "up" / "b" / "q"))
    assert found[-1] == str(tmp_path / "a" / "b")
    assert set(found) >= {"/", str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")}
    with pytest.raises(OSError, match="symbolic links"):
        list(names(tmp_path / "round" / "q"))
