"""The settings of a queue: what is written, read by people's hands, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from rq_py.errors import FormatTooNew, NotAQueue, RqError, StorageError, UsageError
from rq_py.settings import FORMAT, Settings, emit, from_texts, read

UUID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.yml"


def test_what_is_written_is_read_back_and_is_yaml(queue: Queue) -> None:
    text = queue.dir.settings.read_text()
    document = yaml.safe_load(text)
    assert read(queue.dir.settings) == queue.settings
    assert document["format"] == FORMAT
    assert document["uuid"] == queue.settings.uuid
    assert {"shell", "login", "lock_lease", "node_lease", "access"} <= document.keys()


def test_a_person_may_edit_it_as_yaml(path: Path) -> None:
    path.write_text(
        f"---\n# Unsere Schlange: größer\n'format': 1\nuuid: \"{UUID}\"\n"
        "shell: 'dash'   # faster\nlock_lease: 5\n",
        encoding="utf-8",
    )
    found = read(path)
    assert (found.shell, found.lock_lease, found.uuid) == ("dash", 5.0, UUID)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", NotAQueue, "has no format number"),
        ("uuid: x\n", NotAQueue, "has no format number"),
        ("format: 1\n", NotAQueue, "has no uuid"),
        ("format: 1\nuuid: ../../../tmp/x\n", NotAQueue, "uuid of 32 hex digits"),
        ("format: two\nuuid: x\n", NotAQueue, "has no format number"),
        (f"format: 2\nuuid: {UUID}\nsomething_new: yes\n", FormatTooNew, "upgrade rqpy here"),
        ("format: 2\nuuid: {shape: new}\n", NotAQueue, "must be a mapping of settings"),
        (f"format: 1\nuuid: {UUID}\nlogin: sometimes\n", NotAQueue, "none of once each never"),
        (f"format: 1\nuuid: {UUID}\nlock_lease: long\n", NotAQueue, "is not a number"),
        (f"format: 1\nuuid: {UUID}\ncolour: blue\n", NotAQueue, "no such setting"),
        ("- a\n- b\n", NotAQueue, "must be a mapping"),
        ("format: [1", NotAQueue, "is not YAML"),
        ("!!python/object/apply:os.system ['true']", NotAQueue, "must be a mapping"),
        ("\0\0\0", NotAQueue, "is not YAML"),
    ],
)
def test_what_is_no_queue_of_ours(path: Path, text: str, error: type[RqError], message: str) -> None:
    path.write_text(text)
    with pytest.raises(error, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"format: 1\nuuid: \xff\n")
    with pytest.raises(StorageError):
        read(path)


def test_a_newer_format_is_refused_in_one_line_and_left_alone(queue: Queue) -> None:
    settings = queue.dir.settings
    settings.write_text(settings.read_text().replace("format: 1", "format: 2"))
    before = sorted((path, path.stat().st_mtime_ns) for path in queue.path.rglob("*"))
    with pytest.raises(FormatTooNew) as caught:
        Queue(queue.path)
    assert "\n" not in str(caught.value)
    assert "format 2" in str(caught.value)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in queue.path.rglob("*"))


@pytest.mark.parametrize(
    "texts",
    [
        {"lock_lease": "0"},
        {"lock_lease": "0.99"},
        {"lock_lease": "-5"},
        {"lock_lease": "nan"},
        {"lock_lease": "inf"},
        {"lock_lease": "soon"},
        {"node_lease": "1"},
        {"login": "always"},
        {"access": "all"},
        {"shell": ""},
        {"shell": "sh\nformat: 9"},
        {"shell": "'sh'"},
        {"colour": "blue"},
    ],
)
def test_values_that_a_setting_cannot_have(texts: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        from_texts(Settings(uuid=UUID), texts)
    assert "\n" not in str(caught.value)
    assert next(iter(texts)) in str(caught.value)


def test_values_that_it_can_have() -> None:
    texts = {"shell": "/bin/bash --posix", "login": "never", "lock_lease": "1.5", "node_lease": "2"}
    found = from_texts(Settings(uuid=UUID), texts)
    assert (found.shell, found.login, found.lock_lease, found.node_lease) == (
        "/bin/bash --posix",
        "never",
        1.5,
        2,
    )
    assert yaml.load(emit(found), yaml.BaseLoader)["lock_lease"] == "1.5"


@pytest.mark.parametrize(
    ("access", "directory", "file", "umask"),
    [("private", 0o700, 0o600, 0o066), ("group", 0o2770, 0o660, 0o006), ("public", 0o755, 0o644, 0o022)],
)
def test_modes(access: str, directory: int, file: int, umask: int) -> None:
    found = Settings(uuid=UUID, access=access)
    assert (found.directory_mode, found.file_mode) == (directory, file)
    assert 0o666 & ~found.umask == file
    assert found.umask & 0o666 == umask
