"""A machine was frozen past its lease: a renewal may be heard before the runner has looked at the clock.

Found by tests/model/launch.pml (RENEWAL_BEFORE_SWITCH).
"""

from __future__ import annotations

import json

from rq_py.runner.identity import boottime
from tests.runner.conftest import RunnerUnderTest, raw_connection
from tests.waiting import wait_until

FOR_EVER = "sleep 60"


def test_a_renewal_that_comes_too_late_does_not_keep_restartable_jobs_alive(
    runner: RunnerUnderTest,
) -> None:
    runner.feeder.renewed(600)
    restartable = runner.launch(FOR_EVER, restartable=True)
    other = runner.launch(FOR_EVER)
    launched = boottime()
    wait_until(lambda: boottime() > launched + 2)
    overdue, renewal = {"lease": 2, "at": launched}, {"lease": 600, "at": boottime()}
    hello = {"do": "hello", "id": 1, "protocol": 2, "shell": ["/bin/sh"], "env": {}}
    requests = [hello, *({"do": "renewed", "id": 2} | one for one in (overdue, renewal))]
    with raw_connection(runner.state_dir) as feeder:
        # In one piece, so that the runner hears the second before it has looked at what the first one means.
        feeder.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        answers = b""
        while b'"signal":15' not in answers:
            piece = feeder.recv(1 << 16)
            assert piece, "it hung up"
            answers += piece
    hello_again = runner.connect()
    assert [ended.key for ended in hello_again.exits] == [restartable]
    assert [job.key for job in hello_again.running] == [other]
