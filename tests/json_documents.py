"""What commands print with --json, checked by the JSON Schema that the documentation publishes."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import jsonschema

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "json.schema.json"


@cache
def schema() -> Any:
    """The published schema."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def result_of(text: str, kind: str | None = None) -> Any:
    """The result in a document, which must be one that the schema describes, of that kind."""
    held = json.loads(text, parse_constant=_refuse)
    assert kind is None or held["kind"] == kind, held
    _validator(held["kind"]).validate(held)
    return held["result"]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    [own] = [each for each in schema()["oneOf"] if each["title"] == kind]
    return jsonschema.Draft202012Validator(
        {**own, "$defs": schema()["$defs"]},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")
