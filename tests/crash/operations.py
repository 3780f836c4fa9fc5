"""The operations of the sweep: what each is run on, what it is, and what may be found of it after a kill."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.faults import KILL, Point
from tests.crash.summary import Said
from tests.crash.world import World

#: Summaries of all that there is, by path.
Whole = dict[str, Said]


def filled(world: World) -> None:
    """A queue with a job in every state but running, some with streams and data."""
    folder = world.folder
    (folder / "in" / "text").write_text("first input\n" * 3)
    (folder / "in" / "other").write_text("other input\n" * 2)
    for name in ("data", "news"):
        (folder / "in" / name).mkdir()
        for part in ("a", "b"):
            (folder / "in" / name / part).write_text(f"{name} {part}\n")
    world.good("create", "login=never", "shell=sh", "lock_lease=3")
    with_all = (f"--stdin={folder}/in/text", f"--data={folder}/in/data")
    world.good("submit", "echo one")
    world.good("submit", *with_all, "cat; exit 3")
    world.good("submit", *with_all, "--tag=lost", "true")
    world.good("feed", "--until-empty", "--max-feed=1")
    world.good("submit", *with_all, "--tag=kept", "--priority=2", "cat")
    world.good("submit", "--stage", "echo held")
    world.good("submit", "--restartable", f"--stdin={folder}/in/text", "echo again")
    with _database(world) as database:
        database.execute("UPDATE jobs SET state='dead', reason='runner_lost', exit_status=NULL WHERE jid=3")


def with_steps(world: World) -> None:
    """A queue with a key that is taken, a human step, and a job after that."""
    filled(world)
    world.good("submit", "--key=taken", f"--stdin={world.folder}/in/text", "cat")
    world.good("submit", "--human", "look")
    world.good("submit", "--after=8", "echo looked")


def crowded(world: World) -> None:
    """Many jobs: the database has pages enough for damage to be somewhere."""
    filled(world)
    world.good("submit", "-", "-q", stdin="".join(f"echo {n} {'x' * 300}\n" for n in range(300)))


def hot(world: World) -> None:
    """A queue whose last writer was killed in the middle of its COMMIT."""
    crowded(world)
    words = (str(world.queue), "update", "all", "priority=7", "-q")
    for n in range(10, 1000):
        world.traced(words, Point(KILL, n, (str(world.folder),)).judge)
        database = next(world.queue.glob("db.*"))
        if (database / "queue.db-journal").read_bytes()[:8].hex() == "d9d505f920a163d7":
            return
    raise AssertionError("no kill left a hot journal")


def corrupt(world: World) -> None:
    """A queue with a page of its database overwritten that holds jobs."""
    crowded(world)
    with open(next(world.queue.glob("db.*")) / "queue.db", "r+b") as file:
        file.seek(file.read().index(b"echo 150 x") // 4096 * 4096)
        file.write(b"\xa5" * 4096)


def old(world: World) -> None:
    """A queue of the first schema."""
    archive = Path(__file__).resolve().parent.parent / "store" / "queues" / "format-1.tar"
    subprocess.run(
        ["tar", "-x", "-f", archive, "-C", world.queue.parent, "--transform", "s,^[^/]*,q,"], check=True
    )
    settings = world.queue / "queue.yml"
    text = settings.read_text().replace("lock_lease: 60", "lock_lease: 3")  # so long it waits for locks
    settings.write_text(text)


def with_snapshot(world: World) -> None:
    """A queue with a snapshot, which is to be replaced."""
    filled(world)
    world.good("snapshot", f"{world.folder}/out/s")
    world.good("update", "4", "priority=5")


def empty(world: World) -> None:
    """No queue, only what a queue could be made of."""
    del world


class _database:  # noqa: N801
    """The database of a queue that nobody else uses, and its journal as it was."""

    def __init__(self, world: World) -> None:
        path = next(world.queue.glob("db.*")) / "queue.db"
        self._connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode=PERSIST")
        return self._connection

    def __exit__(self, *_error: object) -> None:
        self._connection.close()


def _nothing_between(_before: Whole, _after: Whole) -> list[Whole]:
    return []


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    ``words`` may name the world's folder as ``{}``. Besides before and after, a kill may leave what
    ``between`` makes of those. ``well`` is its exit status when it has worked, ``repeated`` are those that it
    may have when it was done already.
    """

    name: str
    words: Sequence[str]
    stdin: str = ""
    fill: Callable[[World], None] = filled
    between: Callable[[Whole, Whole], list[Whole]] = _nothing_between
    well: int = 0
    repeated: tuple[int, ...] = (0,)
    on_queue: bool = True

    def command(self, world: World) -> list[str]:
        """The words of the command line."""
        words = [word.replace("{}", str(world.folder)) for word in self.words]
        return [str(world.queue), *words] if self.on_queue else words


def _neither(before: Whole, _after: Whole) -> list[Whole]:
    """Snapshot: for a moment the old one has its place no more and the new one has it not yet."""
    return [{"q": before["q"]}]


def _both(place: str) -> Callable[[Whole, Whole], list[Whole]]:
    """Rotate: a job may be in both, until somebody rotates to the same name again."""

    def between(before: Whole, after: Whole) -> list[Whole]:
        return [{**before, place: after[place]}]

    return between


def _packed(before: Whole, after: Whole) -> list[Whole]:
    """The directory is removed when its archive is there, and a part of it may be gone."""
    rotation = after["out/r.tgz"]
    return [
        {**before, "out/r": rotation},
        {"q": after["q"], "out/r": rotation},
        {"q": after["q"], "out/r": rotation, "out/r.tgz": rotation},
    ]


def _lines(count: int) -> str:
    return "".join(f"echo {n}\n" for n in range(count))


OPERATIONS = [
    Operation("submit", ("submit", "--stdin={}/in/text", "--data={}/in/data", "--tag=new", "cat")),
    Operation("submit, 300 lines", ("submit", "-"), stdin=_lines(300)),
    Operation("submit, 5 with stdin", ("submit", "--stdin={}/in/text", "--infile={}/in/other")),
    Operation("submit --key", ("submit", "--key=k", "--stdin={}/in/text", "--data={}/in/data", "cat")),
    Operation(
        "submit --key, taken",
        ("submit", "--key=taken", "--stdin={}/in/other", "--data={}/in/data", "cat"),
        fill=with_steps,
    ),
    Operation("complete", ("complete", "8", "--note=fine"), fill=with_steps, repeated=(1,)),
    Operation("update", ("update", "4", "5", "priority=9", "tag=x")),
    Operation("update stdin= data=", ("update", "4", "stdin={}/in/other", "data={}/in/news", "tag=y")),
    Operation("update stdin= (none)", ("update", "4", "stdin=", "data=", "tag=z")),
    Operation("resubmit", ("resubmit", "1", "2", "3", "--priority=4")),
    Operation("touch", ("touch", "--tag=new", "echo touched")),
    Operation("delete", ("delete", "2", "3", "4", "6"), repeated=(1,)),
    Operation("rotate", ("rotate", "{}/out/r"), between=_both("out/r"), repeated=(0, 1)),
    Operation("rotate --tgz", ("rotate", "--tgz", "{}/out/r"), between=_packed, repeated=(0, 1)),
    Operation("snapshot", ("snapshot", "{}/out/s")),
    Operation("snapshot again", ("snapshot", "{}/out/s"), fill=with_snapshot, between=_neither),
    Operation("backup", ("backup", "{}/out/b"), repeated=(1,)),
    Operation("configure", ("configure", "retention=90d")),
    Operation("recover", ("recover",)),
    Operation("recover --break", ("recover", "--break")),
    Operation("recover --upgrade", ("recover", "--upgrade"), fill=old),
    Operation("recover, corrupt", ("recover",), fill=corrupt, well=1),
    Operation("list, hot journal", ("list",), fill=hot),
    Operation("submit, hot journal", ("submit", "true"), fill=hot),
    Operation("create", ("{}/q", "create"), fill=empty, repeated=(1,), on_queue=False),
    Operation("list", ("list",)),
    Operation("status", ("status",)),
]


def operation_named(name: str) -> Operation:
    """The one of that name."""
    return next(operation for operation in OPERATIONS if operation.name == name)
