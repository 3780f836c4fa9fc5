"""The settings of a queue, ``Q/queue.yml``: what they are, how they are read, checked and written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rq_py.errors import FormatTooNew, NotAQueue, StorageError, UsageError
from rq_py.formats import flat

#: The format of the queue directory that this rqpy writes, and the newest that it reads.
FORMAT = 1

LOGIN_CHOICES = ("once", "each", "never")
ACCESS_CHOICES = ("private", "group", "public")
#: What the directory is. Only a queue takes jobs and is fed; the others are copies for reading.
QUEUE, SNAPSHOT, ROTATION = KINDS = ("queue", "snapshot", "rotation")
#: Without a retention jobs that have ended stay until somebody deletes or rotates them, and without an output
#: limit they may write as much as there is space.
NONE = "none"

#: What is not written, so that an rqpy which does not know the setting reads the rest.
_UNWRITTEN = (("retention", NONE), ("output_limit", NONE))

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_SIZE = re.compile(r"([1-9][0-9]{0,14})([KMG]?)")
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Settings(NamedTuple):
    """Identity and settings of one queue.

    ``lock_lease`` and ``node_lease`` are seconds. ``access`` says who else may use the directory:
    nobody, the group ``group`` (reads and writes), or everybody (reads). ``retention`` is the time, such as
    ``90d``, after which the feeders delete jobs that have ended. ``output_limit`` is the size, such as
    ``100M``, above which stdout and stderr of a job together have it ended.
    """

    uuid: str
    format: int = FORMAT
    shell: str = "bash"
    login: str = "once"
    lock_lease: float = 60.0
    node_lease: float = 600.0
    access: str = "private"
    group: str = ""
    kind: str = QUEUE
    output_limit: str = NONE
    retention: str = NONE

    @property
    def directory_mode(self) -> int:
        """The mode of the queue's directories; setgid where a group shares them."""
        return {"private": 0o700, "group": 0o2770, "public": 0o755}[self.access]

    @property
    def file_mode(self) -> int:
        """The mode of the queue's files."""
        return {"private": 0o600, "group": 0o660, "public": 0o644}[self.access]

    @property
    def retention_seconds(self) -> float | None:
        """The retention in seconds; None for none."""
        match = _DURATION.fullmatch(self.retention)
        return None if match is None else float(int(match[1]) * _SECONDS[match[2]])

    @property
    def output_bytes(self) -> int | None:
        """The output limit in bytes; None for none."""
        match = _SIZE.fullmatch(self.output_limit)
        return None if match is None else int(match[1]) * _BYTES[match[2]]

    @property
    def umask(self) -> int:
        """The umask under which a job's stream files are made, so that they get the queue's modes."""
        return 0o777 & ~(self.file_mode | 0o111)


#: What ``create KEY=VALUE`` may set; the rest is identity.
CHANGEABLE = ("shell", "login", "lock_lease", "node_lease", "retention", "output_limit")


def from_texts(base: Settings, texts: Mapping[str, str]) -> Settings:
    """Return ``base`` with the settings in ``texts`` (all values are text) applied.

    Raises UsageError for an unknown setting or a value that it cannot have.
    """
    known = {name: type(value) for name, value in base._asdict().items()}
    values: dict[str, object] = {}
    for key, text in texts.items():
        if key not in known:
            raise UsageError(f"{key}: no such setting, there are {' '.join(CHANGEABLE)}")
        try:
            values[key] = known[key](text)
        except ValueError:
            raise UsageError(f"{key}: {text!r} is not a number") from None
    changed = base._replace(**values)  # type: ignore[arg-type]
    _check(changed)
    return changed


def _check(settings: Settings) -> None:
    """Raise UsageError when a setting has a value that it cannot have."""
    for key, choices in (("login", LOGIN_CHOICES), ("access", ACCESS_CHOICES), ("kind", KINDS)):
        if getattr(settings, key) not in choices:
            raise UsageError(f"{key}: {getattr(settings, key)!r} is none of {' '.join(choices)}")
    if not settings.shell:
        raise UsageError("shell: must name a shell, such as bash or sh")
    # A lease shorter than a second would break a healthy holder; the comparison also refuses nan.
    for key, least in (("lock_lease", 1.0), ("node_lease", 2.0)):
        if not least <= getattr(settings, key) < float("inf"):
            raise UsageError(f"{key}: {getattr(settings, key)} s will not do, the least is {least} s")
    if settings.retention != NONE and settings.retention_seconds is None:
        raise UsageError(
            f"retention: {settings.retention!r} is neither {NONE} nor a number of s m h d w, as 90d"
        )
    if settings.output_limit != NONE and settings.output_bytes is None:
        raise UsageError(
            f"output_limit: {settings.output_limit!r} is neither {NONE} nor a number of bytes, K, M or G, "
            "as 100M"
        )
    try:
        emit(settings)
    except ValueError as error:
        raise UsageError(f"{error}: a setting is words of letters, digits and ./+@,=~_-") from None


def emit(settings: Settings) -> str:
    """The text of ``queue.yml``. Raises ValueError for a value that would need quotes."""
    values: dict[str, object] = {"format": settings.format, "uuid": settings.uuid}
    for name, value in settings._asdict().items():
        # An ordinary queue says nothing of its kind; a copy does, and rqpys that know no copies refuse it.
        if value not in ("", QUEUE) and (name, value) not in _UNWRITTEN:
            values[name] = _short(value) if isinstance(value, float) else value
    return "# rqpy queue: identity and settings\n" + flat.emit(values)


def _short(seconds: float) -> int | str:
    """Seconds as people write them: 60, or 0.5."""
    return int(seconds) if seconds == int(seconds) else repr(seconds)


def read(path: Path) -> Settings:
    """Read ``queue.yml`` at ``path``.

    Raises NotAQueue when there is none or it makes no sense, FormatTooNew when a newer rqpy wrote
    it, StorageError when it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotAQueue(f"{path.parent}: not a queue, make one with: rqpy {path.parent} create") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error
    values = flat.parse(text)
    if values is None:
        values = _parse_yaml(text, path)
    try:
        written_format = int(values.get("format", ""))
    except ValueError:
        raise NotAQueue(f"{path}: has no format number, so {path.parent} is not a queue") from None
    if written_format > FORMAT:
        raise FormatTooNew(
            f"{path.parent}: has format {written_format}, this rqpy knows up to {FORMAT}: upgrade rqpy here"
        )
    # It becomes part of a path, so nothing else will do.
    if not re.fullmatch(r"[0-9a-f]{32}", values.get("uuid", "")):
        raise NotAQueue(f"{path}: has no uuid of 32 hex digits, so {path.parent} is not a queue")
    try:
        return from_texts(Settings(uuid=""), values)
    except UsageError as error:
        raise NotAQueue(f"{path}: {error}") from None


def _parse_yaml(text: str, path: Path) -> dict[str, str]:
    """Read settings that a person edited into more than flat lines; every scalar stays text."""
    import yaml

    try:
        # BaseLoader is the safest of all: it makes texts, lists and mappings only.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise NotAQueue(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise NotAQueue(f"{path}: must be a mapping of settings, one line each")
    return {str(key): value for key, value in document.items()}


def write(path: Path, settings: Settings) -> None:
    """Write ``queue.yml`` at ``path`` durably: a new file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, settings.file_mode)
        text = emit(settings).encode()
        while text:  # write(2) may write less than it is given
            text = text[os.write(descriptor, text) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
