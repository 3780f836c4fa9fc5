"""SQL that a user wrote, as text: where its statements end, and whether a condition is one expression.

Knows SQLite's tokens as far as that needs (https://www.sqlite.org/lang_expr.html, lang_comment.html). What it
may do is not decided here: store/usersql.py sees that to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown

#: The longest text that is read, in characters. A condition that lists 100,000 jids fits.
MAX_SQL_CHARACTERS = 1024 * 1024

# A doubled quote inside a text makes two texts side by side here, which comes to the same.
_TOKEN = re.compile(
    r"""
    (?P<blank>\s++ | --[^\n]*+ | /\*.*?\*/)
  | (?P<literal>'[^']*+' | "[^"]*+" | `[^`]*+` | \[[^\]]*+\])
  | (?P<open>/\*|['"`\[])                      # it begins, and does not end
  | (?P<word>[^\W\d][\w$]*+)
  | (?P<variable>[$@:\#])                      # would begin a parameter, which may hold parentheses
  | (?P<mark>[;()])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def statements(text: str) -> list[str]:
    """The statements in ``text``, without the ``;`` after each; comments are none. Raises UsageError."""
    found = []
    start, is_empty = 0, True
    for token in _tokens(text):
        if token[0] == ";":
            if not is_empty:
                found.append(text[start : token.start()])
            start, is_empty = token.end(), True
        elif token.lastgroup != "blank":
            is_empty = False
    if not is_empty:
        found.append(text[start:])
    return found


def expression(text: str) -> str:
    """The one expression that ``text`` is: parentheses around it hold all of it. Raises UsageError."""
    found = statements(text)
    if not found:
        raise UsageError("no condition is given, as in: state='finished' and priority > 5")
    if len(found) > 1:
        raise UsageError(f"one condition at a time: what comes after the ; is {shown(found[1].strip())}")
    depth = 0
    for token in _tokens(found[0]):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth < 0:
            raise UsageError(f"a ) without its ( before {shown(found[0][token.end() :].strip())}")
        if token.lastgroup == "variable":
            raise UsageError(f"{shown(token[0])}: no SQL outside of quotes: a text needs single quotes")
    if depth:
        raise UsageError("a ( without its )")
    return found[0]


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """The tokens of ``text``. Raises UsageError for one that does not end, and for a text nobody can mean."""
    if len(text) > MAX_SQL_CHARACTERS:
        raise UsageError(f"the SQL is longer than {MAX_SQL_CHARACTERS} characters")
    if "\0" in text:
        raise UsageError("the SQL holds a NUL character")
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "open":
            raise UsageError(
                f"{token[0]} begins here and does not end: {shown(text[token.start() :].strip())}"
            )
        yield token
