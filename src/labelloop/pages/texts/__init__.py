"""What the labelling page says, a file a language: all have the same keys."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "de")
"""The languages that there are, by their codes; the first where a reader wants none of them."""

Texts = Mapping[str, Mapping[str, str]]
"""Texts by section and name. Section `page` holds `code`, the language's."""


@cache
def texts(code: str) -> Texts:
    """The texts of one language.

    >>> texts("de")["tools"]["undo"]
    'Rückgängig'
    """
    held = tomllib.loads(files(__package__).joinpath(f"{code}.toml").read_text("utf-8"))
    return {name: section for name, section in held.items() if isinstance(section, dict)} | {
        "page": {**held["page"], "code": code, "language": held["language"]}
    }


def language_of(accepted: str, chosen: str | None = None) -> str:
    """The code of the language to answer in: the chosen one, else what the browser accepts first.

    >>> language_of("fr-CH, de;q=0.8, en;q=0.9")
    'en'
    >>> language_of("de-AT,de;q=0.9", chosen="fr")
    'de'
    """
    if chosen in LANGUAGES:
        return str(chosen)
    ranked: list[tuple[float, int, str]] = []
    for place, each in enumerate(accepted.split(",")[:50]):
        tag, _, weight = each.partition(";q=")
        code = tag.strip().lower().partition("-")[0]
        try:
            ranked.append((-float(weight or 1), place, code))
        except ValueError:
            continue
    known = [code for weight, _, code in sorted(ranked) if code in LANGUAGES and weight < 0]
    return known[0] if known else LANGUAGES[0]
