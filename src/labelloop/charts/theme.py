"""Colours and sizes: one theme for light and one for dark, safe for colour-blind readers.

A picture names colours by their role, `var(--right)`; the style that stands in it says what they are.
"""

from collections.abc import Mapping

FONT = "Roboto, 'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', 'Noto Sans', sans-serif"

WIDTH = 720
"""Pixels of a wide picture."""


COLOURS = {
    "background": ("#f6f7f9", "#10151b"),
    "surface": ("#ffffff", "#181f27"),
    "ink": ("#1b2430", "#e8edf2"),
    "muted": ("#586473", "#a2aebb"),
    "grid": ("#e2e6eb", "#2b3541"),
    # the pair that most pictures need: blue and orange, told apart with any colour vision
    "right": ("#0072b2", "#63b8ee"),
    "wrong": ("#c75100", "#ff9955"),
    "strip1": ("#dbe7f1", "#27445b"),
    "strip2": ("#f3e3cf", "#574227"),
    # parts of a whole; from Okabe and Ito 2008, "Color Universal Design"
    "part1": ("#0072b2", "#63b8ee"),
    "part2": ("#e69f00", "#f0b429"),
    "part3": ("#009e73", "#2fc79a"),
    "part4": ("#cc79a7", "#e39ac3"),
    "part5": ("#56b4e9", "#3f7fc1"),
    "part6": ("#d55e00", "#ff8a4c"),
    "other": ("#a9b2bd", "#5f6b78"),
}
"""Each role with its colour on a light screen and on a dark one."""

LIGHT = {role: light for role, (light, _) in COLOURS.items()}
DARK = {role: dark for role, (_, dark) in COLOURS.items()}

N_PARTS = 6
"""How many parts of a whole have colours of their own."""


def part(number: int) -> str:
    """The colour of a part of a whole, from 0 on."""
    return f"var(--part{number + 1})"


def css(colours: Mapping[str, str]) -> str:
    """Colours as custom properties, each under the name of its role."""
    return "".join(f"--{role}:{colour};" for role, colour in colours.items())


def both() -> str:
    """The colours of the scheme that the reader's screen asks for; paper is light."""
    dark = f"@media screen and (prefers-color-scheme:dark){{.chart{{{css(DARK)}}}}}"
    return f".chart{{{css(LIGHT)}}}{dark}"
