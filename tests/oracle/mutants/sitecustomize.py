"""Takes one protection away from rq_py, for tests only: python(1) imports this where it is on PYTHONPATH.

``RQ_TEST_MUTANT=<name>`` names the mutant; without it nothing happens. A mutant is a list of replacements in
the text of modules of rq_py, made when such a module is imported. A text that is not there exactly once makes
the import fail: a mutant that has silently become the original would prove anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

#: Of one module: what is replaced, and by what.
Replacements = Sequence[tuple[str, str]]

_KEY = "WHERE jobs.jid = {{o}}jid"

_UNGUARDED: Mapping[str, Replacements] = {
    "rq_py.claims": [
        (
            _KEY + " AND jobs.attempt = {{o}}attempt AND jobs.token = {{o}}token\n"
            "        AND ((jobs.state = 'running' AND (jobs.retried >= jobs.retries\n"
            "                OR (coalesce({{o}}exit_status, 1) = 0 AND {{o}}reason IS NOT '{TIMED_OUT}')))\n"
            "            OR (jobs.state = 'dead' AND jobs.reason = 'node_lost'))",
            _KEY,
        ),
        ("jid = :jid AND state = 'running' AND attempt = :attempt AND token = :token", "jid = :jid"),
    ]
}

_LAUNCH = "self._launch(jobs)\n"
_LAUNCH_FIRST: Mapping[str, Replacements] = {
    "rq_py.feeder.loop": [
        (
            f'        {_LAUNCH}        testpoint.reached("launched")\n',
            '        testpoint.reached("launched")\n',
        ),
        (
            '            testpoint.reached("recorded" if',
            f'            {_LAUNCH}            testpoint.reached("recorded" if',
        ),
    ]
}

# The look at the journal before SQLite's own makes NFS ask the server in every journal mode, so it goes as
# well; and what expects a journal to exist is told not to.
_EXCLUSIVE = ('connection.execute("PRAGMA locking_mode=EXCLUSIVE")', "pass")
_NO_JOURNAL_EXPECTED: Mapping[str, Replacements] = {
    "rq_py.store.transaction": [
        ("os.open(generation.journal, os.O_RDONLY", "os.open(generation.database, os.O_RDONLY")
    ],
}
_LOCK_ANY_JOURNAL = (
    "os.open(generation.journal, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)",
    "os.open(generation.journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)",
)
_NO_REVALIDATION = (
    "    flags = (os.O_RDWR | os.O_CREAT)",
    "    return False\n    flags = (os.O_RDWR | os.O_CREAT)",
)


def _journal(mode: str, *, revalidated: bool) -> Mapping[str, Replacements]:
    """SQLite's journal in another mode than PERSIST."""
    return {
        "rq_py.store.database": [_EXCLUSIVE, ("journal_mode=PERSIST", f"journal_mode={mode}")],
        "rq_py.store.journal": [_LOCK_ANY_JOURNAL] if revalidated else [_LOCK_ANY_JOURNAL, _NO_REVALIDATION],
        **_NO_JOURNAL_EXPECTED,
    }


MUTANTS: Mapping[str, Mapping[str, Replacements]] = {
    # Any transition goes through, whatever has become of the job.
    "unguarded-transition": _UNGUARDED,
    # A commit into a generation that the others have left counts.
    "no-frozen-check": {
        "rq_py.store.generation": [
            ("    if frozen:\n        raise OutcomeUnknown", "    if False:\n        raise OutcomeUnknown")
        ]
    },
    # What SQLite does by itself, and TRUNCATE.
    "journal-delete": _journal("DELETE", revalidated=False),
    "journal-truncate": _journal("TRUNCATE", revalidated=False),
    # The same, but the journal is still opened first.
    "journal-delete-revalidated": _journal("DELETE", revalidated=True),
    "journal-truncate-revalidated": _journal("TRUNCATE", revalidated=True),
    # SQLite locks the database, and nobody the journal.
    "no-journal-lock": {
        "rq_py.store.journal": [("fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass")]
    },
    # A new generation is what the first pass has copied.
    "copy-once": {
        "rq_py.store.successor": [
            ("if all(_are_equal(source, copy) for source, copy in pairs):", "if pairs:")
        ]
    },
    # The runner hears of a job before its claim is committed.
    "launch-before-commit": _LAUNCH_FIRST,
}


class _Mutator(SourceFileLoader):
    """Loads a module with replacements; never from, nor into, the cache of compiled files."""

    def __init__(self, fullname: str, path: str, replacements: Replacements) -> None:
        super().__init__(fullname, path)
        self._replacements = replacements

    def get_code(self, fullname: str) -> CodeType:
        """The code of the changed text. Raises ImportError where the mutant does not apply."""
        text = self.get_source(fullname) or ""
        for old, new in self._replacements:
            if text.count(old) != 1:
                raise ImportError(f"mutant {_NAME}: {fullname} has {text.count(old)} times: {old!r}")
            text = text.replace(old, new)
        return compile(text, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules that are to be changed."""

    def __init__(self, mutant: Mapping[str, Replacements]) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec with a loader of ours, for these modules only."""
        if fullname not in self._mutant:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Mutator(fullname, spec.origin, self._mutant[fullname])
        return spec


_NAME = os.environ.get("RQ_TEST_MUTANT", "")
if _NAME:
    # An unknown name must not run as the original; an exception here would only be printed.
    if _NAME not in MUTANTS:
        sys.stderr.write(f"RQ_TEST_MUTANT={_NAME}: there are {' '.join(MUTANTS)}\n")
        os._exit(70)
    sys.meta_path.insert(0, _Finder(MUTANTS[_NAME]))
