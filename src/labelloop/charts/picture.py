"""A picture: what is drawn, and the words that stand with it."""

import textwrap
from dataclasses import dataclass

from labelloop.charts.svg import Drawing, words
from labelloop.charts.theme import LIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    name
        its file's name without the ending
    says
        what to read from it, in a sentence or two
    drawing
        None where there is nothing to draw; `says` is then why
    """

    name: str
    title: str
    says: str
    drawing: Drawing | None

    @property
    def svg(self) -> str:
        """The SVG; empty where there is nothing to draw."""
        if self.drawing is None:
            return ""
        return self.drawing.svg(f"{self.title}. {self.says}")

    @property
    def inline(self) -> str:
        """The same SVG for a page whose stylesheet holds the colours."""
        if self.drawing is None:
            return ""
        return self.drawing.inline(f"{self.title}. {self.says}")


_MARGIN, _ZOOM = 24, 2
_LINE = 19


def png(picture: Picture) -> bytes:
    """A picture that stands by itself: with its title and what to read from it, in light colours.

    Letters come from the extra's own font, so that they stand there on a machine that has none.
    """
    import font_roboto
    import resvg_py

    if picture.drawing is None:
        raise ValueError(f"{picture.name} has no drawing")
    text = _standalone(picture.title, picture.says, picture.drawing)
    for role, colour in LIGHT.items():
        text = text.replace(f"var(--{role})", colour)
    drawn: bytes = resvg_py.svg_to_bytes(
        svg_string=text,
        zoom=_ZOOM,
        background=LIGHT["surface"],
        font_files=[font_roboto.Roboto, font_roboto.RobotoBold, font_roboto.RobotoItalic],
    )
    return drawn


def _standalone(title: str, says: str, drawing: Drawing) -> str:
    """A drawing below its title and its words."""
    lines = textwrap.wrap(says, max(60, int(drawing.width / 6.6)))
    text = [words(_MARGIN, _MARGIN + 12, title, font_size=19, font_weight="bold")]
    for i, each in enumerate(lines):
        y = _MARGIN + 38 + _LINE * i
        text.append(words(_MARGIN, y, each, font_size=13, fill="var(--muted)"))
    top = _MARGIN + 40 + _LINE * len(lines)
    return Drawing(
        width=drawing.width + 2 * _MARGIN,
        height=top + drawing.height + _MARGIN,
        inside=(*text, drawing.element(x=_MARGIN, y=top)),
    ).element()
