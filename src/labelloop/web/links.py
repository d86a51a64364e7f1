"""Paths of pages that other pages link to."""

from urllib.parse import quote, urlencode


def sample(sample_id: str) -> str:
    """The page of a sample: its id is one segment, whatever is in it."""
    return f"/samples/{quote(sample_id, safe='')}"


def image(sample_id: str) -> str:
    """The small image of a sample."""
    return f"{sample(sample_id)}?image=small"


def samples(**filters: str | int | None) -> str:
    """The samples that meet all filters; `class_` is the label that people gave.

    >>> samples(class_="cat", outcome="wrong", queue=None)
    '/samples?class=cat&outcome=wrong'
    """
    given = {name.rstrip("_"): value for name, value in filters.items() if value is not None}
    return f"/samples?{urlencode(given)}" if given else "/samples"


def this_round(number: int, **filters: str | int | None) -> str:
    """The page of a round."""
    given = {name: value for name, value in filters.items() if value is not None}
    return f"/rounds/{number}" + (f"?{urlencode(given)}" if given else "")
