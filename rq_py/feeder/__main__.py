"""The program of a feeder in the background. Its arguments, from daemon.py: a pipe's number, the options."""

from __future__ import annotations

import contextlib
import os
import sys

from rq_py.errors import RqError
from rq_py.feeder import daemon
from rq_py.feeder.log import LOG
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.session import feed
from rq_py.feeder.single import FeederInfo


def main() -> None:
    """Feed; report being up, or the error, into the pipe; exit with the error's code."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    answered = False

    def answer(message: bytes) -> None:
        nonlocal answered
        if not answered:
            answered = True
            with contextlib.suppress(OSError):  # the caller may have gone
                os.write(pipe, message)
            os.close(pipe)
            os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), 2)  # the other end of the same pipe

    def when_up(me: FeederInfo) -> None:
        answer(daemon.up_message(me.pid))

    try:
        feed(FeedOptions.from_json(sys.argv[2]), when_up)
    except RqError as error:
        LOG.error("%s", error)
        answer(daemon.error_message(error))
        sys.exit(error.exit_code)
    except BaseException as error:
        LOG.critical("a bug in rqpy: %s", error, exc_info=True)
        if isinstance(error, Exception):
            answer(daemon.error_message(error))
        raise


if __name__ == "__main__":
    main()
