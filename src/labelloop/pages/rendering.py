"""Templates -> HTML. Values are escaped; a name that a template doesn't know is an error."""

from functools import cache
from typing import TYPE_CHECKING

from labelloop.charts.theme import DARK, FONT, LIGHT, css

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """A template of this package, filled in."""
    return _environment().get_template(template).render(values)


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
    environment.globals |= {"font": FONT, "light": css(LIGHT), "dark": css(DARK)}
    return environment
