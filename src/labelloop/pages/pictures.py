"""A picture as a page shows it: drawn for a light and for a dark scheme."""

from dataclasses import dataclass

from labelloop.charts import drawing
from labelloop.charts.picture import Picture
from labelloop.charts.theme import DARK, LIGHT, Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A picture in one scheme; without an SVG where there is nothing to draw."""

    name: str
    says: str
    svg: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture in both schemes."""

    name: str
    title: str
    light: Scheme
    dark: Scheme


def drawn(light: Picture, dark: Picture) -> Drawn:
    """The same picture, laid out in either theme, as SVG."""
    return Drawn(
        name=light.name,
        title=light.title,
        light=_scheme(light, LIGHT),
        dark=_scheme(dark, DARK),
    )


def _scheme(picture: Picture, theme: Theme) -> Scheme:
    svg = None
    if picture.chart is not None:
        svg = drawing.svg(picture.chart, theme, name=f"{picture.name}-{theme.name}")
    return Scheme(name=theme.name, says=picture.says, svg=svg)
