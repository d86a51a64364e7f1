"""Lines and tables on a terminal, or where its output goes."""

import os
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from labelloop.errors import LabelloopError
from labelloop.views import table as data

if TYPE_CHECKING:
    from rich.table import Table

VERB_WIDTH = 9
USUAL_WIDTH = 80
"""The columns of a terminal that doesn't say how many it has."""
NARROWEST_WIDTH = 20
WIDTH_WITHOUT_TERMINAL = 120
"""The columns where the output is no terminal."""


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
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    for found in tables:
        console.print()
        console.print(found.title, style="bold", highlight=False, markup=False)
        console.print(fitted_table(found, console.width), highlight=False)


_STYLES = {data.Mark.RIGHT: "bold", data.Mark.WRONG: "red"}


def fitted_table(found: data.Table, width: int = USUAL_WIDTH) -> "Table":
    """A table in so many characters: headings and names are broken into lines, numbers never cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = found.shown(wide=False)
    longest = {i: max((len(row[i]) for row in found.rows), default=0) for i in shown}
    whole = sum(max(longest[i], len(found.columns[i].name)) + 2 for i in shown) <= width
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for i in shown:
        column = found.columns[i]
        heading = textwrap.wrap(column.name, max(8, longest[i]), break_long_words=False)
        table.add_column(
            Text(column.name if whole else "\n".join(heading)),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
            min_width=None if column.is_number else min(10, longest[i]),
            overflow="ellipsis" if column.is_number else "fold",
        )
    for number, row in enumerate(found.rows):
        marks = [found.marks.get((number, i)) for i in shown]
        styles = [_STYLES[mark] if mark else "" for mark in marks]
        table.add_row(*(Text(row[i], style) for i, style in zip(shown, styles, strict=True)))
    return table
