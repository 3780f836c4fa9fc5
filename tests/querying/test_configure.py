"""``configure``: settings are shown, changed durably under the queue lock, and identity stays."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from rq_py import settings as settings_file
from rq_py.errors import UsageError
from tests.conftest import Rqpy
from tests.querying.conftest import bytes_of


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


def test_settings_are_shown_and_nothing_is_changed(rqpy: Rqpy, queue: Queue) -> None:
    before = bytes_of(queue)
    done = rqpy("configure", queue=queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    shown = yaml.safe_load(done.stdout)
    assert (shown["shell"], shown["lock_lease"], shown["uuid"]) == ("bash", 60, queue.settings.uuid)
    assert json.loads(rqpy("C", "-o", "json", queue=queue.path, check=True).stdout) == shown
    assert bytes_of(queue) == before


def test_settings_are_changed(rqpy: Rqpy, queue: Queue) -> None:
    mode = queue.dir.settings.stat().st_mode
    done = rqpy("configure", "shell=sh", "lock_lease=2.5", queue=queue.path, check=True)
    shown = yaml.safe_load(done.stdout)
    assert (shown["shell"], shown["lock_lease"], shown["login"]) == ("sh", 2.5, "once")
    found = settings_file.read(queue.dir.settings)
    assert (found.shell, found.lock_lease, found.uuid) == ("sh", 2.5, queue.settings.uuid)
    assert queue.dir.settings.stat().st_mode == mode
    assert [path.name for path in queue.path.glob(".*")] == []
    changed = queue.configure({"login": "never"})
    assert queue.settings == changed == settings_file.read(queue.dir.settings)
    assert changed.shell == "sh"  # what others changed meanwhile is kept


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600), ("none", None)],
)
def test_a_retention_is_a_number_with_a_unit(
    rqpy: Rqpy, queue: Queue, text: str, seconds: float | None
) -> None:
    assert queue.settings.retention_seconds is None
    assert "retention" not in queue.dir.settings.read_text(), "an rqpy that does not know it reads the rest"
    shown = rqpy("configure", f"retention={text}", queue=queue.path, check=True).stdout
    assert yaml.safe_load(shown)["retention"] == text
    assert Queue(queue.path).settings.retention_seconds == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("4096", 4096), ("8K", 8192), ("100M", 104_857_600), ("2G", 2_147_483_648), ("none", None)],
)
def test_an_output_limit_is_a_size(rqpy: Rqpy, queue: Queue, text: str, size: int | None) -> None:
    assert queue.settings.output_bytes is None
    assert "output_limit" not in queue.dir.settings.read_text(), (
        "an rqpy that does not know it reads the rest"
    )
    shown = rqpy("configure", f"output_limit={text}", queue=queue.path, check=True).stdout
    assert str(yaml.safe_load(shown)["output_limit"]) == text
    assert Queue(queue.path).settings.output_bytes == size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["uuid=0123456789abcdef0123456789abcdef"], "uuid: is what the queue was made as"),
        (["format=2"], "format: is what"),
        (["access=public"], "access: is what"),
        (["group=users"], "group: is what"),
        (["kind=snapshot"], "kind: is what"),
        (["colour=blue"], "colour: no such setting, there are shell"),
        (["shell=sh", "colour=blue"], "colour: no such setting"),
        (["lock_lease=0"], "lock_lease: 0"),
        (["lock_lease=soon"], "not a number"),
        (["login=always"], "none of once each never"),
        *(
            ([f"retention={text}"], f"retention: '{text}' is neither none nor a number of s m h d w")
            for text in ("", "90", "0d", "-1d", "1y", "1.5h", "1d2h", "forever", "9999999d")
        ),
        *(
            (
                [f"output_limit={text}"],
                f"output_limit: '{text}' is neither none nor a number of bytes, K, M or G",
            )
            for text in ("", "0", "0M", "-1", "1.5G", "100MB", "1T", "10m", "1 M", "much", "9" * 16)
        ),
        (["shell="], "shell"),
        (["shell=a\nb: c"], "shell"),
        (["shell"], "is no KEY=VALUE"),
        (["shell=sh", "shell=dash"], "given twice"),
    ],
)
def test_what_is_refused_changes_nothing(rqpy: Rqpy, queue: Queue, words: list[str], message: str) -> None:
    before = queue.dir.settings.read_bytes()
    done = rqpy("configure", *words, queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert queue.dir.settings.read_bytes() == before


def test_identity_stays_for_the_api_too(queue: Queue) -> None:
    for key in ("uuid", "format", "access", "group", "kind"):
        with pytest.raises(UsageError, match="stays"):
            queue.configure({key: "x"})


def test_it_waits_for_the_queue_lock(rqpy: Rqpy, queue: Queue) -> None:
    with queue.store.write():
        done = rqpy("configure", "--timeout=0.2", "shell=sh", queue=queue.path)
    assert done.returncode == 75
    assert settings_file.read(queue.dir.settings).shell == "bash"


def test_changes_at_the_same_time_are_all_kept(rqpy: Rqpy, queue: Queue) -> None:
    wanted = {"shell": "sh", "login": "never", "lock_lease": "7", "node_lease": "70"}
    threads = [
        threading.Thread(target=rqpy, args=("configure", f"{key}={value}"), kwargs={"queue": queue.path})
        for key, value in wanted.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = settings_file.read(queue.dir.settings)
    assert (found.shell, found.login, found.lock_lease, found.node_lease) == ("sh", "never", 7, 70)


def test_the_next_feeder_works_by_it(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("configure", "shell=sh", "login=never", queue=queue.path, check=True)
    queue.submit('echo "${BASH_VERSION:-none}"', env={"BASH_VERSION": ""})
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert queue.stream(1, "stdout").read_text() == "none\n"
