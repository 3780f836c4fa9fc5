"""Programs that run as another user: all is loaded before, as Python itself may be out of their reach."""

from __future__ import annotations

#: To be put before a program: ``become(uid, gid)``, and ``attempt(work)``, which says what came of it.
PRELUDE = """
import tempfile
def become(uid, gid):
    # Uses everything once, so that all is imported, codecs too.
    with tempfile.TemporaryDirectory() as folder:
        warm = Queue.create(folder + "/q")
        warm.submit("true", stdin=b"x")
        os.mkdir(folder + "/tree")
        warm.submit("true", data=folder + "/tree")
        warm.store.generations.supersede(warm.store.generations.current(), "a test")
        warm.submit("true")
        list(warm.jobs())
        warm.status()
        try:
            Queue(folder + "/nothing")
        except RqError:
            pass
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    os.umask(0o077)
def attempt(work):
    try:
        say("ok", work())
    except RqError as error:
        say(type(error).__name__, error)
    except BaseException as error:
        say("BUG", repr(error))
"""
