"""Colours and sizes: one theme for light and one for dark, safe for colour-blind readers."""

from dataclasses import dataclass

FONT = "'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', 'Noto Sans', sans-serif"
"""Faces of the same widths: what was measured for one fits in the others."""

WIDTH = 640
"""Pixels between the axes of a wide picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one scheme, by their role.

    right, wrong
        the pair that most pictures need: blue and orange, told apart with any colour vision
    parts
        for parts of a whole; from Okabe and Ito 2008, "Color Universal Design"
    """

    name: str
    background: str
    surface: str
    ink: str
    muted: str
    grid: str
    right: str
    wrong: str
    strip: tuple[str, str]
    parts: tuple[str, ...]
    other: str


LIGHT = Theme(
    name="light",
    background="#f6f7f9",
    surface="#ffffff",
    ink="#1b2430",
    muted="#586473",
    grid="#e2e6eb",
    right="#0072b2",
    wrong="#c75100",
    strip=("#dbe7f1", "#f3e3cf"),
    parts=("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    other="#a9b2bd",
)

DARK = Theme(
    name="dark",
    background="#10151b",
    surface="#181f27",
    ink="#e8edf2",
    muted="#a2aebb",
    grid="#2b3541",
    right="#63b8ee",
    wrong="#ff9955",
    strip=("#27445b", "#574227"),
    parts=("#63b8ee", "#f0b429", "#2fc79a", "#e39ac3", "#3f7fc1", "#ff8a4c"),
    other="#5f6b78",
)
