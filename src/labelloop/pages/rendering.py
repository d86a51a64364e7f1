"""Templates -> HTML. Values are escaped; a name that a template doesn't know is an error."""

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from labelloop.charts.theme import DARK, FONT, LIGHT, css

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """A template of this package, filled in."""
    return _environment().get_template(template).render(values)


def with_code(text: str) -> Markup:
    """A text whose parts between backquotes are code.

    >>> with_code("run `labelloop send` if a < b")
    Markup('run <code>labelloop send</code> if a &lt; b')
    """
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("labelloop.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = with_code
    environment.globals |= {"font": FONT, "light": css(LIGHT), "dark": css(DARK)}
    return environment
