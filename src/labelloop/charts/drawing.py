"""Pictures -> SVG and PNG, without a browser and without the network."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import vl_convert

from labelloop.charts import by_class, labels, over_time, plan, reliability
from labelloop.charts.picture import Chart, Picture
from labelloop.charts.theme import FONT, Theme
from labelloop.views.quality import Quality

PICTURES = (
    over_time.by_day,
    over_time.by_round,
    by_class.accuracy_by_class,
    by_class.confusion,
    reliability.reliability,
    plan.of_report,
    labels.training,
    labels.asked,
)
_VEGA_LITE = "6.4"
_SCALE = 2.0


def pictures(q: Quality, theme: Theme) -> Iterator[Picture]:
    """Every picture of a report, in its order."""
    for draw in PICTURES:
        yield draw(q, theme)


def svg(chart: Chart, theme: Theme, *, name: str) -> str:
    """A chart as SVG that can stand inside a page, beside others."""
    text: str = vl_convert.vegalite_to_svg(
        _spec(chart, theme, background=None), vl_version=_VEGA_LITE, allowed_base_urls=[]
    )
    # ids are the page's: two charts must not clip with each other's rectangles
    text = re.sub(r'(?<= id=")(?=[\w-]+")', f"{name}-", text)
    return re.sub(r"(?<=url\(#)", f"{name}-", text)


def png(picture: Picture, theme: Theme) -> bytes:
    """A picture that stands by itself: with its title and what to read from it."""
    if picture.chart is None:
        raise ValueError(f"{picture.name} has no chart")
    spec = _spec(picture.chart, theme, background=theme.surface)
    spec["title"] = {
        "text": picture.title,
        "subtitle": textwrap.wrap(picture.says, 108),
        "anchor": "start",
        "frame": "bounds",
        "offset": 18,
    }
    spec["padding"] = 20
    found: bytes = vl_convert.vegalite_to_png(
        spec, vl_version=_VEGA_LITE, scale=_SCALE, allowed_base_urls=[]
    )
    return found


def _spec(chart: Chart, theme: Theme, *, background: str | None) -> dict[str, Any]:
    text = {"labelFont": FONT, "titleFont": FONT}
    spec = chart.to_dict(validate=False)  # the tests validate; here it would double the time
    spec["config"] = {
        "background": background,
        "aria": False,
        "font": FONT,
        "view": {"stroke": None},
        "text": {"font": FONT, "fontSize": 12},
        "axis": {
            **text,
            "labelColor": theme.muted,
            "labelFontSize": 12,
            "labelLimit": 200,
            "labelFlush": False,
            "titleColor": theme.muted,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 10,
            "gridColor": theme.grid,
            "domainColor": theme.grid,
            "tickColor": theme.grid,
        },
        "legend": {
            **text,
            "labelColor": theme.ink,
            "labelFontSize": 12,
            "labelLimit": 180,
            "symbolType": "square",
            # a browser without these fonts may take a wider one than was measured
            "columnPadding": 28,
        },
        "title": {
            "font": FONT,
            "color": theme.ink,
            "fontSize": 18,
            "subtitleFont": FONT,
            "subtitleColor": theme.muted,
            "subtitleFontSize": 13,
            "subtitlePadding": 6,
            "subtitleLineHeight": 18,
        },
    }
    return spec
