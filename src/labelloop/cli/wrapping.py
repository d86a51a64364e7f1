"""Text for a terminal: continued below an indent, and no word cut in two."""

import os
import textwrap

USUAL = 80
"""The columns of a terminal that doesn't say how many it has."""
NARROWEST = 20


def wrapped(text: str, indent: int, *, file_descriptor: int = 1) -> str:
    """`text`, on a terminal continued below `indent`; elsewhere a line stays one.

    No word, so no address, is cut: one that is longer than a line is left to the terminal.
    """
    if not os.isatty(file_descriptor):
        return text
    columns = os.get_terminal_size(file_descriptor).columns or USUAL
    wrapper = textwrap.TextWrapper(
        max(columns, indent + NARROWEST),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))
