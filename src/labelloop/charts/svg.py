"""SVG by elements: text is escaped, numbers are short, and what a screen can't show is spelled out."""

from dataclasses import dataclass
from unicodedata import east_asian_width

from markupsafe import Markup, escape

from labelloop.charts.theme import FONT, both
from labelloop.views.wording import plain

SIZE = 12
"""Pixels of the letters."""

Value = str | float | None


def tag(name: str, *inside: str, **given: Value) -> Markup:
    """An element; attributes that are None are left out, and `_` stands for `-`.

    >>> tag("rect", x=1.04, stroke_width=2, fill="<")
    Markup('<rect x="1" stroke-width="2" fill="&lt;"/>')
    """
    attributes = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in given.items()
        if value is not None
    )
    held = "".join(escape(each) for each in inside)
    return Markup(f"<{name}{attributes}>{held}</{name}>" if inside else f"<{name}{attributes}/>")  # noqa: S704  all parts are escaped


def group(*inside: str, title: str = "", **given: Value) -> Markup:
    """Elements together; `title` shows where the pointer rests on one of them."""
    hover = (tag("title", plain(title)),) if title else ()
    return tag("g", *hover, *inside, **given)


def words(x: float, y: float, said: str, *, halo: bool = False, **given: Value) -> Markup:
    """A line of text; a halo keeps lines off its letters."""
    style: dict[str, Value] = {"font_size": SIZE, "fill": "var(--ink)"}
    if halo:
        style |= {"stroke": "var(--surface)", "stroke_width": 4, "stroke_linejoin": "round"}
        style["paint_order"] = "stroke"
    style |= given
    return tag("text", plain(said), x=x, y=y, **style)


def line(x1: float, y1: float, x2: float, y2: float, colour: str, **given: Value) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=f"var(--{colour})", **given)


def rect(x: float, y: float, width: float, height: float, fill: str, **given: Value) -> Markup:
    """A rectangle; `fill` is a whole colour."""
    return tag("rect", x=x, y=y, width=max(0.0, width), height=max(0.0, height), fill=fill, **given)


def path(points: list[tuple[float, float]], **given: Value) -> Markup:
    """Points in the order of drawing."""
    d = "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return tag("path", d=d, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is drawn, in so many pixels."""

    width: float
    height: float
    inside: tuple[Markup, ...]

    def svg(self, label: str) -> str:
        """An SVG that stands by itself or inside a page; `label` is for those who don't see it."""
        style = tag("style", Markup(both()))  # noqa: S704  ours, without a value from outside
        return self.element(style, role="img", aria_label=plain(label))

    def inline(self, label: str) -> str:
        """An SVG inside a page that defines the colours: it holds no style, which a strict policy forbids."""
        return self.element(role="img", aria_label=plain(label))

    def element(self, *before: Markup, **given: Value) -> Markup:
        """The same as an element, without colours unless they come before."""
        return tag(
            "svg",
            *before,
            *self.inside,
            xmlns="http://www.w3.org/2000/svg",
            class_="chart",
            viewBox=f"0 0 {_short(self.width)} {_short(self.height)}",
            width=self.width,
            height=self.height,
            font_family=FONT,
            **given,
        )


def width_of(text: str) -> float:
    """About how many pixels a text takes, in any of the fonts that may draw it.

    >>> width_of("ill") < width_of("cat") < width_of("WWW") < width_of("パンパン")
    True
    """
    return SIZE * sum(_em(letter) for letter in text)


def _em(letter: str) -> float:
    if east_asian_width(letter) in "WF":
        return 1.02
    if letter in "iljtfr.,:;'|!()[] ":
        return 0.37
    return 0.95 if letter in "mwMW@%—" else 0.7 if letter.isupper() else 0.62


def fitted(text: str, width: float) -> str:
    """As much of a text as fits, with an ellipsis; nothing where too little would be left.

    >>> fitted("landscape", 200), fitted("landscape", 40), fitted("landscape", 10)
    ('landscape', 'land…', '')
    """
    if width_of(text) <= width:
        return text
    kept = text
    while kept and width_of(f"{kept}…") > width:
        kept = kept[:-1]
    return f"{kept}…" if len(kept) >= 3 else ""


def _short(value: str | float) -> str:
    """A number without digits that nobody sees."""
    if isinstance(value, str):
        return value
    text = f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
