"""The rule for a JSON object: beside a file, or a line of a file of many."""

import json


class NotAnObject(Exception):
    """A text that is no JSON object in UTF-8."""


def json_object(text: bytes) -> dict[str, str | None]:
    """What a JSON object holds, as text: numbers as they are written, lists and records as JSON.

    null and NaN are None. Half a character, as programs leave it that cut a text, becomes `?`.

    >>> json_object(b'{"class": "cat", "confidence": 0.90, "flagged": true, "model": null}')
    {'class': 'cat', 'confidence': '0.90', 'flagged': 'true', 'model': None}

    Raises:
        NotAnObject: it is none.
    """
    try:
        decoded = text.decode("utf-8-sig")
        held = json.loads(decoded, parse_float=str, parse_int=str, parse_constant=_constant)
        nested = isinstance(held, dict) and any(isinstance(v, dict | list) for v in held.values())
        plain = json.loads(decoded) if nested else held
    except UnicodeDecodeError as exc:
        raise NotAnObject("not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise NotAnObject(f"no JSON: {exc}") from exc
    if not isinstance(held, dict):
        raise NotAnObject("no JSON object: expected one, such as {...}")
    return {_utf8(name): _as_text(value, plain[name]) for name, value in held.items()}


def _constant(name: str) -> str | None:
    return None if name == "NaN" else name


def _as_text(value: object, plain: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(plain, ensure_ascii=False)
    return _utf8(value)


def _utf8(text: str) -> str:
    """The text without halves of a character, which JSON can name and UTF-8 can't."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
