"""Lines and tables on a terminal, or where its output goes."""

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click

from labelloop.errors import LabelloopError
from labelloop.views import table as data

VERB_WIDTH = 9
USUAL_WIDTH = 80
"""The columns of a terminal that doesn't say how many it has."""
NARROWEST_WIDTH = 20
WIDTH_WITHOUT_TERMINAL = 120
"""The columns where the output is no terminal."""
GAP = 2
"""The blanks between the columns of a table."""
NARROWEST_NAME = 10
"""A column of names isn't made narrower."""


def wrapped(text: str, indent: int, *, file_descriptor: int = 1) -> str:
    """`text`, on a terminal continued below `indent`; elsewhere a line stays one.

    No word, so no address, is cut: one that is longer than a line is left to the terminal.
    """
    if not os.isatty(file_descriptor):
        return text
    columns = os.get_terminal_size(file_descriptor).columns or USUAL_WIDTH
    wrapper = textwrap.TextWrapper(
        max(columns, indent + NARROWEST_WIDTH),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))


def line(verb: str, text: str) -> None:
    """Print one verb's outcome."""
    first, *below = text.split("\n")
    lines = wrapped(f"{verb:<{VERB_WIDTH}}{first}", VERB_WIDTH)
    click.echo(click.style(lines[:VERB_WIDTH], bold=True) + lines[VERB_WIDTH:])
    for said in below:
        click.echo(wrapped(f"{'':<{VERB_WIDTH}}{said}", VERB_WIDTH))


def outcome(verb: str, result: object, *, timezone: str = "UTC") -> None:
    """Print what a verb did, or why it didn't."""
    from labelloop.views import verbs

    if isinstance(result, LabelloopError):
        said = f"{click.style('failed:', fg='red')} {result.args[0]}"
        line(verb, said + (f"\nremedy: {result.remedy}" if result.remedy else ""))
    else:
        line(verb, verbs.line(verb, result, timezone))


def print_tables(tables: Iterable[data.Table]) -> None:
    """Print tables to standard output, each below its title."""
    out = sys.stdout
    width = shutil.get_terminal_size().columns if out.isatty() else WIDTH_WITHOUT_TERMINAL
    rule = "─" if (out.encoding or "").lower().startswith("utf") else "-"
    for found in tables:
        click.echo(f"\n{click.style(found.title, bold=True)}")
        for text in table_lines(found, width, rule=rule):
            click.echo(text)


def table_lines(found: data.Table, width: int = USUAL_WIDTH, *, rule: str = "─") -> list[str]:
    """A table in so many columns: headings and names are broken into lines, numbers never cut.

    Laid out by hand, as rich would take a tenth of the CPU of a short command.
    """
    shown = found.shown(wide=False)
    columns = [found.columns[i] for i in shown]
    longest = [max((cells(row[i]) for row in found.rows), default=0) for i in shown]
    titles = [[column.name] for column in columns]
    if sum(map(max, longest, _widest(titles))) + GAP * len(shown) > width:
        titles = [
            textwrap.wrap(column.name, max(8, n), break_long_words=False) or [""]
            for column, n in zip(columns, longest, strict=True)
        ]
    widths = list(map(max, longest, _widest(titles)))
    least = [
        n if column.is_number else min(n, NARROWEST_NAME)
        for column, n in zip(columns, widths, strict=True)
    ]
    _narrow(widths, least, width - GAP * (len(shown) - 1))
    titles = [
        [text for line in title for text in _folded(line, n)]
        for title, n in zip(titles, widths, strict=True)
    ]
    height = max(map(len, titles))
    head = [[""] * (height - len(title)) + title for title in titles]
    lines = _laid_out(columns, widths, head, [_BOLD] * len(shown))
    lines.append(rule * (sum(widths) + GAP * (len(shown) - 1)))
    for number, row in enumerate(found.rows):
        folded = [_folded(row[i], n) for i, n in zip(shown, widths, strict=True)]
        marks = [found.marks.get((number, i)) for i in shown]
        lines += _laid_out(columns, widths, folded, [_STYLES[mark] for mark in marks])
    return lines


_BOLD: dict[str, Any] = {"bold": True}
_STYLES: dict[data.Mark | None, dict[str, Any]] = {
    None: {},
    data.Mark.RIGHT: _BOLD,
    data.Mark.WRONG: {"fg": "red"},
}


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese signs take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def _widest(titles: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cells, title)) for title in titles]


def _narrow(widths: list[int], least: Sequence[int], room: int) -> None:
    """Take from the widest, from none below its least, until all fit, if they can."""
    while sum(widths) > room:
        spare = [(n, i) for i, n in enumerate(widths) if n > least[i]]
        if not spare:
            return
        widths[max(spare)[1]] -= 1


def _folded(text: str, width: int) -> list[str]:
    """A text in lines of so many columns, broken at spaces where that is possible."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while cells(line) > width:
            n = next(n for n in range(len(line), 0, -1) if cells(line[:n]) <= width or n == 1)
            lines.append(line[:n])
            line = line[n:]
    return [*lines, line]


def _laid_out(
    columns: Sequence[data.Column],
    widths: Sequence[int],
    folded: Sequence[Sequence[str]],
    styles: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The lines of one row: each cell set to its side."""
    lines = []
    for texts in zip_longest(*folded, fillvalue=""):
        row = []
        for column, width, text, style in zip(columns, widths, texts, styles, strict=True):
            blank = " " * (width - cells(text))
            styled = click.style(text, **style) if text and style else text
            row.append(blank + styled if column.is_number else styled + blank)
        lines.append((" " * GAP).join(row).rstrip())
    return lines
