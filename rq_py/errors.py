"""The one exception tree: what can go wrong, each with the exit code that the command line gives it.

::

    RqError                     1   anything that rqpy reports in one line
    |-- UsageError              2   the request itself makes no sense
    |   `-- InputError          2   a document, a line or a field of the input is not valid
    |-- NotFound                1   no such job, no such stream
    |-- QueueError              1   the directory is not a usable queue
    |   |-- NotAQueue           1
    |   |-- QueueExists         1
    |   |-- FormatTooNew        1   a newer rqpy wrote it
    |   |-- FormatTooOld        1   it must be upgraded first
    |   `-- UnsafeMount         1   its file system cannot keep the promises
    |-- StorageError            1   the file system or the database refused
    |   |-- Busy                1   a foreign program holds the database
    |   |-- Corrupt             1   the database is damaged: recover it
    |   `-- OutcomeUnknown      1   a COMMIT may or may not have happened: ask by token
    |-- LockTimeout            75   the queue lock could not be had in time (EX_TEMPFAIL, sysexits.h)
    |-- WaitTimeout           124   a wait timed out (as timeout(1) does)
    |-- IllegalTransition       1   the job's state does not allow this
    |-- FeederError             1
    |   |-- FeederRunning       1   this node has its feeder already
    |   `-- NoFeeder            1
    `-- RunnerError             1
        |-- RunnerGone          1   the socket closed: the runner is dead
        `-- ProtocolError       1   a message on the socket is malformed

A message is one line: what is wrong, which path or jid, what to do.
"""

from __future__ import annotations


class RqError(Exception):
    """Base of everything that rqpy raises on purpose; ``str()`` is the line for the user."""

    exit_code = 1


class UsageError(RqError):
    """The request makes no sense: an unknown option, a value that is no number."""

    exit_code = 2


class InputError(UsageError):
    """A document, line or field of the input is not valid; the message says where."""


class NotFound(RqError):
    """No job, or no stream of it, matches."""


class QueueError(RqError):
    """The directory is not a queue that can be used."""


class NotAQueue(QueueError):
    """The path holds no queue."""


class QueueExists(QueueError):
    """``create`` found something at the path."""


class FormatTooNew(QueueError):
    """A newer rqpy wrote the queue; this one keeps its hands off."""


class FormatTooOld(QueueError):
    """The queue must be upgraded first, and only when somebody asks for it."""


class UnsafeMount(QueueError):
    """The file system or its mount options cannot keep the promises."""


class StorageError(RqError):
    """The file system or the database refused an operation."""


class Busy(StorageError):
    """A program other than rqpy holds the database."""


class Corrupt(StorageError):
    """The database is damaged; ``recover`` saves what can be read."""


class OutcomeUnknown(StorageError):
    """A COMMIT failed, or its generation was frozen: it may or may not have happened.

    Never repeat the work; take the lock anew and ask the database by token.
    """


class LockTimeout(RqError):
    """The queue lock could not be had in the time that the caller gave."""

    exit_code = 75


class WaitTimeout(RqError):
    """A wait for jobs timed out."""

    exit_code = 124


class IllegalTransition(RqError):
    """The state of the job does not allow the operation."""


class FeederError(RqError):
    """A feeder cannot do what was asked."""


class FeederRunning(FeederError):
    """This user's feeder on this node runs already."""


class NoFeeder(FeederError):
    """This user has no feeder on this node."""


class RunnerError(RqError):
    """The runner cannot do what was asked."""


class RunnerGone(RunnerError):
    """The runner's socket closed or cannot be connected to."""


class ProtocolError(RunnerError):
    """A message on the runner's socket is malformed, too long or of another version."""
