"""Jobs and texts for the tests of the formats: hypothesis strategies, and one plain job to vary."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from rq_py.job import NODE_NAME, Job, State

#: Texts that YAML 1.1 or 1.2 would take for something else, or that break naive writers.
AWKWARD = [
    *("42", "-7", "+1", "0x1f", "0b1", "0o17", "017", "1_000", "1e3", "1.5", ".5", "190:20:30", "1e5", "0"),
    *(
        "yes",
        "No",
        "on",
        "OFF",
        "true",
        "False",
        "y",
        "N",
        "null",
        "Null",
        "~",
        "",
        " ",
        ".inf",
        "-.INF",
        ".nan",
    ),
    *(
        "2004-11-12",
        "2004-11-12 17:37:10Z",
        "2001-12-14t21:59:43.10-05:00",
        "=",
        "<<",
        "-",
        "- a",
        "--- a",
        "---",
    ),
    *(
        "...",
        "? a",
        ": a",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "a#b",
        "a:b",
        "&a",
        "*a",
        "!a",
        "!!str a",
        "|",
        ">",
        "%a",
    ),
    *(
        "@a",
        "`a`",
        "'a'",
        '"a"',
        "[a]",
        "{a: b}",
        "a, b",
        "a]",
        "\\",
        "\\n",
        "a\\",
        "a\nb",
        "\n",
        "a\n",
        "\ta",
        "a\t",
    ),
    *(
        " a",
        "a ",
        "a  b",
        "\x00",
        "\x07",
        "\x1b[31m",
        "\x7f",
        "\x80",
        "\x85",
        "\x9f",
        "\xa0",
        "\u2028",
        "\u2029",
    ),
    *(
        "\ufeff",
        "\ufffe",
        "\uffff",
        "\u202e",
        "é",
        "日本",
        "😀",
        "\U0010ffff",
        "e\u0301",
        "x" * 3000,
        "é" * 2000,
    ),
    *(
        "./run.sh --all",
        "../x",
        "/bin/ls -l",
        "$HOME/bin/x",
        "echo 'a: b' \"c\"",
        "7z x a",
        "3hosts",
        "0x0g",
        "1h",
    ),
    *(
        "12:30:45",
        "12h30m",
        "1_0h",
        "0xh",
        "a:\u00a0b",
        "a\u00a0#b",
        "\r",
        "a\r\nb",
        "a\u3000",
        "x: ",
        "x :y",
        "x::",
    ),
]

#: Every text that UTF-8 has.
texts = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"])))
#: Every command: not blank, no NUL.
commands = texts.map(lambda text: text.replace("\0", "")).filter(lambda text: text and not text.isspace())
#: Every tag, runner ...: on one line.
words = texts.map(lambda text: text.replace("\0", "").replace("\n", ""))
variables = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
    texts.map(lambda text: text.replace("\0", "")),
    max_size=3,
)
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(  # noqa: DTZ001 - made UTC below
    lambda when: when.replace(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ").rjust(27, "0")
)
int64 = st.integers(-(2**63), 2**63 - 1)
seconds = st.floats(0, 1e8).map(lambda value: round(value, 6))


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A value, or None."""
    return st.none() | strategy


def job(**fields: object) -> Job:
    """A pending job, with some fields changed."""
    plain = Job(
        jid=1,
        priority=0,
        state=State.PENDING,
        submitted="2004-11-12 17:37:10.312094Z",
        started=None,
        finished=None,
        elapsed=None,
        submitter="redfish",
        runner=None,
        required_runner=None,
        has_stdin=False,
        has_data=False,
        pid=None,
        exit_status=None,
        signal=None,
        reason=None,
        attempt=0,
        user_cpu=None,
        system_cpu=None,
        max_rss=None,
        tag=None,
        restartable=False,
        cwd=None,
        env=None,
        command="true",
        token="",
        feeder=None,
    )
    return plain._replace(**fields)  # type: ignore[arg-type]


jobs = st.builds(
    job,
    jid=st.integers(1, 2**63 - 1),
    priority=int64,
    state=st.sampled_from(State),
    submitted=times,
    started=maybe(times),
    finished=maybe(times),
    elapsed=maybe(seconds),
    submitter=words,
    runner=maybe(words),
    required_runner=maybe(st.from_regex(NODE_NAME, fullmatch=True)),
    has_stdin=st.booleans(),
    has_data=st.booleans(),
    pid=maybe(st.integers(1, 2**22)),
    exit_status=maybe(st.integers(0, 255)),
    signal=maybe(st.integers(1, 64)),
    reason=maybe(words),
    attempt=st.integers(0, 1000),
    user_cpu=maybe(seconds),
    system_cpu=maybe(seconds),
    max_rss=maybe(st.integers(0, 2**63 - 1)),
    tag=maybe(words),
    key=maybe(words),
    kind=st.sampled_from([None, "human"]),
    completed_by=maybe(words),
    note=maybe(texts),
    restartable=st.booleans(),
    cwd=maybe(words.map(lambda text: f"/{text}")),
    env=maybe(variables.map(lambda env: json.dumps(env, ensure_ascii=False))),
    command=commands,
)
