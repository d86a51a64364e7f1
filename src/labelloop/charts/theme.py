"""Colours and sizes: one theme for light and one for dark, safe for colour-blind readers.

A picture names colours by their role, `var(--right)`; the style that stands in it says what they are.
"""

from dataclasses import dataclass
from dataclasses import fields as fields_of

FONT = "Roboto, 'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', 'Noto Sans', sans-serif"

WIDTH = 720
"""Pixels of a wide picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one scheme, by their role.

    right, wrong
        the pair that most pictures need: blue and orange, told apart with any colour vision
    part1 to part6
        for parts of a whole; from Okabe and Ito 2008, "Color Universal Design"
    """

    background: str
    surface: str
    ink: str
    muted: str
    grid: str
    right: str
    wrong: str
    strip1: str
    strip2: str
    part1: str
    part2: str
    part3: str
    part4: str
    part5: str
    part6: str
    other: str

    def colours(self) -> dict[str, str]:
        """Each role with its colour."""
        return {field.name: getattr(self, field.name) for field in fields_of(self)}

    def css(self) -> str:
        """The colours as custom properties."""
        return "".join(f"--{role}:{colour};" for role, colour in self.colours().items())


LIGHT = Theme(
    background="#f6f7f9",
    surface="#ffffff",
    ink="#1b2430",
    muted="#586473",
    grid="#e2e6eb",
    right="#0072b2",
    wrong="#c75100",
    strip1="#dbe7f1",
    strip2="#f3e3cf",
    part1="#0072b2",
    part2="#e69f00",
    part3="#009e73",
    part4="#cc79a7",
    part5="#56b4e9",
    part6="#d55e00",
    other="#a9b2bd",
)

DARK = Theme(
    background="#10151b",
    surface="#181f27",
    ink="#e8edf2",
    muted="#a2aebb",
    grid="#2b3541",
    right="#63b8ee",
    wrong="#ff9955",
    strip1="#27445b",
    strip2="#574227",
    part1="#63b8ee",
    part2="#f0b429",
    part3="#2fc79a",
    part4="#e39ac3",
    part5="#3f7fc1",
    part6="#ff8a4c",
    other="#5f6b78",
)

N_PARTS = 6
"""How many parts of a whole have colours of their own."""


def part(number: int) -> str:
    """The colour of a part of a whole, from 0 on."""
    return f"var(--part{number + 1})"


def both() -> str:
    """The colours of the scheme that the reader's screen asks for; paper is light."""
    dark = f"@media screen and (prefers-color-scheme:dark){{.chart{{{DARK.css()}}}}}"
    return f".chart{{{LIGHT.css()}}}{dark}"
