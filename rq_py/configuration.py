"""The settings of a queue, shown and changed: under the queue lock, so that no change is lost."""

from __future__ import annotations

from collections.abc import Mapping

from rq_py import settings as settings_file
from rq_py.errors import OutcomeUnknown, StorageError, UsageError
from rq_py.settings import CHANGEABLE, Settings
from rq_py.store.files import file_errors, sync_name
from rq_py.store.transaction import Store


def configure(store: Store, texts: Mapping[str, str]) -> Settings:
    """Change the settings in ``texts`` and return all of them, as they are on stable storage.

    Without any it is only a look. Comments that a person wrote into ``queue.yml`` are lost by a change. A
    feeder that runs works with the old ones until its next start. Raises UsageError, StorageError.
    """
    path = store.directory.settings
    for key in texts:
        _check_changeable(key)
    if not texts:
        return settings_file.read(path)
    try:
        with store.write(), file_errors(path):
            changed = settings_file.from_texts(settings_file.read(path), texts)
            settings_file.write(path, changed)
            sync_name(path, "changed")
    except OutcomeUnknown as error:
        # The transaction only holds the lock. What it was for is a file, and that can be asked.
        try:
            now = settings_file.read(path)
        except StorageError as second:
            raise OutcomeUnknown(f"{error}: the settings may have been changed or not: {second}") from error
        if settings_file.from_texts(now, texts) != now:
            raise
        return now
    return changed


def _check_changeable(key: str) -> None:
    """Raise UsageError unless ``key`` is a setting that may be changed."""
    if key in CHANGEABLE:
        return
    known = f"there are {' '.join(CHANGEABLE)}"
    if key in Settings._fields:
        raise UsageError(f"{key}: is what the queue was made as and stays; {known}")
    raise UsageError(f"{key}: no such setting, {known}")


def document(settings: Settings) -> dict[str, object]:
    """The settings as a document for people and programs; what is not set is left out."""
    values = {key: value for key, value in settings._asdict().items() if value != ""}
    return {
        key: int(value) if isinstance(value, float) and value == int(value) else value
        for key, value in values.items()
    }
