"""SIGSTOP of a lock holder, SIGKILL and SIGSTOP of who makes a generation at every step: the others go on.

Then SIGCONT. At the end a negative control: a maker that does not compare its copy publishes half a commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.nfs.control import ControlQueue
from tests.nfs.lab.cluster import QUEUE, Lab, Plan
from tests.nfs.lab.node import RQPY, Node
from tests.nfs.lab.trial import Trial
from tests.nfs.moment import Moment, Warm, generation
from tests.nfs.stops import MAKING, WRITING

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)


def scenario(lab: Lab, holders: int = 1, makers: int = 1) -> None:
    """``holders`` and ``makers`` are 0 to leave that part out."""
    trial = Trial(lab, lock_lease=10, node_lease=120)
    one, two = lab.clients
    sleepers = [stopping_feeder(trial, one, name) for name in ("page:2", "committed")]
    trial.feeder(two, max_feed=4).start()
    trial.wait_until_up()
    left, right = (Warm(client, QUEUE, trial.env) for client in lab.clients)
    if holders:
        for name in WRITING:
            stopped_submitter(trial, left, right, name)
        for sleeper in sleepers:
            stopped_feeder(trial, right, sleeper)
    if makers:
        for name in MAKING:
            stopped_maker(trial, left, right, Moment(one, name, "kill"))
            stopped_maker(trial, left, right, Moment(one, name, "stop"))
        for name in ("copied", "checked"):
            two_makers(trial, (left, right), name)
        assert not wake_during_the_copy(ControlQueue(lab, "woken"))
        control = wake_during_the_copy(ControlQueue(lab, "copy-once", "copy-once"))
        lab.diary.note(f"negative control copy-once: {control or 'not broken'}")
        assert control, "a copy that nobody compared was not seen to be broken"
    trial.rest(two, least=1)
    trial.judge()


def stopped_submitter(trial: Trial, one: Warm, two: Warm, name: str) -> None:
    """It holds the lock at that moment; the others need a new generation, and it learns of that."""
    before = generation(trial.lab)
    moment = Moment(one.node, name)
    writer = one.submit([trial.job(0.2) for _ in range(10)], moment=moment)
    moment.wait()
    others_go_on(trial, two)
    assert generation(trial.lab) > before
    moment.go_on()
    trial.lab.diary.note(f"stopped at {moment}, its submit: {writer.wait().out.strip()}")


def others_go_on(trial: Trial, warm: Warm) -> None:
    """A submit is acknowledged."""
    assert warm.submit([trial.job(0.1)]).wait().out == "acknowledged\n"


def stopping_feeder(trial: Trial, node: Node, name: str) -> Moment:
    """A feeder that will stop at that moment, once it is armed."""
    moment = Moment(node, name)
    feeder = trial.feeder(node, f"{node.name}.{name.partition(':')[0]}")
    feeder.argv = (*moment.words, *feeder.argv[len(RQPY) :])
    feeder.start()
    return moment


def stopped_feeder(trial: Trial, two: Warm, moment: Moment) -> None:
    """It holds the lock, with jobs that it has just claimed or finished."""
    before = generation(trial.lab)
    moment.arm()
    two.submit([trial.job(0.3) for _ in range(12)]).wait()
    moment.wait()
    others_go_on(trial, two)
    assert generation(trial.lab) > before
    moment.go_on()


def stopped_maker(trial: Trial, one: Warm, two: Warm, moment: Moment) -> None:
    """Whoever comes next goes on; the stopped one wakes up and has nothing to do any more."""
    maker = one.run("recover", "--break", moment=moment)
    moment.wait()
    others_go_on(trial, two)
    if moment.action == "stop":
        moment.go_on()
        done = maker.wait()
        assert done.status == 0, done


def two_makers(trial: Trial, warm: Sequence[Warm], name: str) -> None:
    """Both are at the same step of the same generation."""
    moments = [Moment(each.node, name) for each in warm]
    makers = [
        each.run("recover", "--break", moment=moment) for each, moment in zip(warm, moments, strict=True)
    ]
    for moment in moments:
        moment.wait()
    for moment in moments:
        moment.go_on()
    for maker in makers:
        done = maker.wait()
        assert done.status == 0, done
    others_go_on(trial, warm[1])


def wake_during_the_copy(queue: ControlQueue) -> str:
    """The holder commits while the maker has copied the database and not yet the journal; what is broken."""
    one, two = queue.lab.clients
    queue.submit(one, 50)
    asleep = Moment(one, "page:3,committed")
    holder = queue.start(one, 50, asleep)
    asleep.wait()
    one.sh("sync")  # half of it is on the server now
    copying = Moment(two, "half-copied")
    maker = queue.warm[two].run("recover", "--break", moment=copying)
    copying.wait()
    asleep.arm()
    asleep.go_on()
    asleep.wait()
    copying.go_on()
    made = maker.wait()
    asleep.go_on()
    queue.heard(holder.wait())
    queue.submit(two)
    # recover itself repairs what it has copied, where SQLite's check finds it corrupt.
    return queue.broken() or ("the copy was corrupt" if "repaired" in made.out else "")
