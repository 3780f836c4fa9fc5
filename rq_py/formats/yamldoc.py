"""Small nested documents (status, pid, create ...) as YAML, in the shape of rq's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rq_py.formats import scalars


def dump(value: object) -> str:
    """Write ``value`` as one YAML document that begins with ``---``.

    Mappings, lists and tuples nest as blocks; None, bool, int, float (6 decimals) and text are scalars,
    and any other object is written as its ``str()``. The order of a mapping is kept.
    """
    if _is_block(value):
        return "---\n" + "".join(_block(value, ""))
    return f"---{_inline(value)}\n"


def _is_block(value: object) -> bool:
    """Whether ``value`` takes lines of its own: a collection that is not empty."""
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _inline(value: object) -> str:
    """What stands behind a colon or a dash: a scalar, or an empty collection."""
    if isinstance(value, Mapping):
        return " {}"
    if isinstance(value, list | tuple):
        return " []"
    return f" {scalars.scalar(value)}"


def _block(value: object, indent: str) -> Iterator[str]:
    """The lines of a collection, each indented by ``indent``."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            # The explicit form of a long key spans two lines.
            written = scalars.key(name).replace("\n", f"\n{indent}")
            yield from _entry(f"{indent}{written}", member, indent)
    elif isinstance(value, Sequence):
        for member in value:
            yield from _entry(f"{indent}-", member, indent)


def _entry(head: str, member: object, indent: str) -> Iterator[str]:
    """One entry of a collection: its key or dash, and its value behind or below it."""
    if _is_block(member):
        yield f"{head}\n"
        yield from _block(member, indent + "  ")
    else:
        yield f"{head}{_inline(member)}\n"
