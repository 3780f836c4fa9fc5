"""How one value is written as YAML 1.1, so that every parser reads the same value back.

A text is written plain only where no parser, of YAML 1.1 or 1.2, can take it for anything else;
else it is double quoted on one line, with the escapes that both versions know. What a terminal
would act upon or not show (control and formatting characters) is always escaped. Written by hand
because ``rqpy submit`` prints its jobs and must not spend its time on importing a YAML library.
"""

from __future__ import annotations

#: A plain text begins with one of these, with ``./`` or ``../``, or with a digit where a letter of
#: _NOT_IN_NUMBERS follows: numbers and timestamps hold no letters but a-f, o, t, x and z.
_PLAIN_BEGINNINGS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_/$")
_DIGITS = frozenset("0123456789")
_NOT_IN_NUMBERS = frozenset("ghijklmnpqrsuvwyGHIJKLMNPQRSUVWY")

#: What yaml.org/type/bool.html and null.html resolve, in any case.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

_TO_ZEROS = str.maketrans("123456789", "000000000")
_TIME_SHAPES = frozenset({"0000-00-00 00:00:00.000000Z", "0000-00-00 00:00:00Z"})

_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", "\x1b": "\\e"}

#: The longest key that needs no ``?`` before it is 1024 characters (yaml.org/spec/1.1, 9.3.2), quoted.
_LONGEST_SIMPLE_KEY = 1000


def text(value: str) -> str:
    """Write a text: plain where that is surely safe, else double quoted."""
    return value if value.isprintable() and _is_plain(value) else quoted(value)


def _is_plain(value: str) -> bool:
    """Whether a printable text is surely itself without quotes.

    Inside, ``: `` and `` #`` would end it, and at its end a space or colon (yaml.org/spec/1.1, 9.1.3).
    """
    first = value[:1]
    if first in _DIGITS:
        begins_plain = not _NOT_IN_NUMBERS.isdisjoint(value)
    else:
        begins_plain = first in _PLAIN_BEGINNINGS or value.startswith(("./", "../"))
    return (
        begins_plain
        and value[-1] not in " :"
        and ": " not in value
        and " #" not in value
        and value.lower() not in _WORDS
    )


def quoted(value: str) -> str:
    """Write a text in double quotes on one line.

    A lone surrogate, which no YAML can hold, becomes U+FFFD.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(char if char.isprintable() else _escape(char) for char in escaped)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    """Write one character that is not printable."""
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float) -> str:
    """Write a number: an int as it is, a float with 6 decimals (microseconds)."""
    if isinstance(value, int):
        return str(int(value))
    written = f"{value:.6f}"
    return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(written, written)


def time(value: str) -> str:
    """Write a time, ``2026-11-20 15:06:49.514387Z``, as a plain YAML timestamp."""
    return value if value.translate(_TO_ZEROS) in _TIME_SHAPES else text(value)


def scalar(value: object) -> str:
    """Write None, a bool, a number or, as text, anything else."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    return text(str(value))


def key(value: object) -> str:
    """Write the key of a mapping together with its colon; a very long one in the explicit form."""
    written = scalar(value)
    if len(written) <= _LONGEST_SIMPLE_KEY:
        return f"{written}:"
    return f"? {written}\n:"
