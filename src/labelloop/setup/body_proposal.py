"""Where in the bodies of requests and responses class, confidence and input may lie. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence

BODIES = ("request", "response", "input", "output", "metadata", "request_metadata")
"""The columns of platforms' logs that may hold JSON."""
_DEEP = 6
_LONG = 12
"""So many characters on average make a text that people may label."""


def with_paths(row: Mapping[str, str]) -> dict[str, str]:
    """The row, with what stands in its bodies under the path to it; lists of several numbers stay lists.

    >>> with_paths({"id": "1", "response": '{"label": "cat", "scores": [0.5, 1], "more": [{"a": 1}]}'})
    {'id': '1', '$.response.label': 'cat', '$.response.scores': '[0.5, 1]', '$.response.more[0].a': '1'}
    """
    found: dict[str, str] = {}
    for name, value in row.items():
        held = _json(value) if name in BODIES else None
        if held is None:
            found[name] = value
        else:
            found.update(_leaves(f"$.{name}", held, 0))
    return found


def longest_text(rows: Sequence[Mapping[str, str]], below: Sequence[str]) -> str | None:
    """The column, of those that begin with one of `below`, whose texts are longest on average.

    >>> longest_text([{"$.request.mail": "My invoice is wrong, again.", "$.request.to": "a"}], ["$.request"])
    '$.request.mail'
    """
    means = {
        name: sum(len(row.get(name, "")) for row in rows) / len(rows)
        for name in dict.fromkeys(name for row in rows for name in row)
        if name.startswith(tuple(below)) and not any(row.get(name, "")[:1] == "[" for row in rows)
    }
    best = max(means, key=lambda name: means[name], default=None)
    return best if best is not None and means[best] >= _LONG else None


def number_lists(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """The columns that hold lists of numbers, as long in every row, and how long."""
    found: dict[str, int] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        lengths = {_length(row[name]) for row in rows if name in row}
        if len(lengths) == 1 and (n := lengths.pop()) > 1:
            found[name] = n
    return found


def _length(text: str) -> int:
    held = _json(text)
    numbers = isinstance(held, list) and all(type(v) in (int, float) for v in held)
    return len(held) if numbers and isinstance(held, list) else 0


def _json(text: str) -> dict[str, object] | list[object] | None:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict | list) else None


def _leaves(path: str, held: object, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(held, dict) and depth < _DEEP:
        for name, value in held.items():
            plain = name.isascii() and name.isidentifier()
            quoted = name.replace("\\", "\\\\").replace("'", "\\'")
            yield from _leaves(
                f"{path}.{name}" if plain else f"{path}['{quoted}']", value, depth + 1
            )
    elif isinstance(held, list) and held and depth < _DEEP and not _are_numbers(held):
        yield from _leaves(f"{path}[0]", held[0], depth + 1)
    elif isinstance(held, str):
        yield path, held
    elif held is not None:
        yield path, json.dumps(held)


def _are_numbers(held: Sequence[object]) -> bool:
    return all(type(v) in (int, float) for v in held) and len(held) > 1
