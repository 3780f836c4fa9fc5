"""The plot of the report as SVG: horizontal bars on a logarithmic scale, a panel for each case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.table import number

#: Pixels: the whole width, what is left of the bars, what is right of the longest, the height of a bar's row.
WIDTH, LEFT, RIGHT, ROW = 720, 150, 90, 22
#: What a bar stands for, in the order of the legend, and its colour.
COLOURS = {
    "rq_py": "#c0392b",
    "keeps its queue": "#2e6f9e",
    "does not keep it": "#9bb8cc",
    "a limit, no queue": "#b5b5b5",
}


@dataclass(frozen=True)
class Bar:
    """One bar: who, how much (more than 0), and which kind of COLOURS."""

    label: str
    value: float
    kind: str


@dataclass(frozen=True)
class Panel:
    """One diagram: a title, which names the unit, and bars."""

    title: str
    bars: Sequence[Bar]


def svg(panels: Sequence[Panel]) -> str:
    """The whole picture."""
    parts: list[str] = []
    y = 34
    x = 16
    for kind, colour in COLOURS.items():
        parts.append(_rect(x, 12, 12, 12, colour))
        parts.append(_text(x + 17, 22, kind))
        x += 36 + 7 * len(kind)
    for panel in panels:
        parts.append(_text(16, y + 20, panel.title, weight="bold"))
        y += 30
        parts += _bars(panel.bars, y)
        y += ROW * len(panel.bars) + 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, _rect(0, 0, WIDTH, y, "#ffffff"), *parts, "</svg>"]) + "\n"


def _bars(bars: Sequence[Bar], top: int) -> list[str]:
    """The bars of a panel; the scale begins at a power of ten below the least value."""
    parts = []
    floor = 10 ** math.floor(math.log10(min(bar.value for bar in bars)) - 0.01)
    span = math.log10(max(bar.value for bar in bars) / floor)
    for index, bar in enumerate(bars):
        y = top + index * ROW
        width = (WIDTH - LEFT - RIGHT) * math.log10(bar.value / floor) / span
        parts.append(_text(LEFT - 8, y + 14, bar.label, anchor="end"))
        parts.append(_rect(LEFT, y + 3, width, ROW - 6, COLOURS[bar.kind]))
        parts.append(_text(LEFT + width + 6, y + 14, number(bar.value, 1)))
    return parts


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="#222222"'
    return f'<text x="{x:.1f}" y="{y:g}" {style}>{escape(text)}</text>'


def kind_of(name: str, peers: Mapping[str, Mapping[str, object]]) -> str:
    """Which of COLOURS a contestant has; who is no peer is a limit."""
    peer = peers.get(name)
    if name in {"rqpy", "rqpy-quiet"}:
        return "rq_py"
    if peer is None or peer["is_limit"]:
        return "a limit, no queue"
    return "keeps its queue" if peer["keeps"] else "does not keep it"
