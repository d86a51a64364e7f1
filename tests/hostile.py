"""What somebody may write who means harm, or doesn't know better."""

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

NASTY = st.sampled_from(
    [
        *("", " ", "\0", "..", "../..", "/", "//", "/etc/passwd", "\\..\\", "\n", "\r\n", "\u2028"),
        *("\u202e", "\ufeff", "e\u0301", "a" * 5_000, "\ud800", "<b>", "&amp;", "]]>", "$image"),
        *("{{x}}", "${HOME}", "=1+1", "@x", "nan", "inf", "1e999", "0_1", "9" * 400, "-0", "null"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1", "24:00", "0x1"),
    ]
)
ANY_TEXT = st.one_of(
    NASTY,
    st.text(max_size=30),
    st.text(st.characters(exclude_categories=[]), max_size=15),  # halves of characters too
)
TEXT = ANY_TEXT.filter(
    lambda text: text.isascii() or text.encode("utf-8", "replace").decode() == text
)
"""Text that UTF-8 can carry."""
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=10,
)
DEEP = st.sampled_from(
    [b"[" * 100_000, b'{"a":' * 60_000, b'{"a":' + b"9" * 5_000 + b"}", b"<View>" * 9_000]
)


def tries(n: int) -> settings:
    """So many examples, times LABELLOOP_FUZZ (`make fuzz`)."""
    many = int(os.environ.get("LABELLOOP_FUZZ", "1"))
    return settings(max_examples=n * many, deadline=None, suppress_health_check=list(HealthCheck))


def altered(data: bytes) -> st.SearchStrategy[bytes]:
    """`data` with a byte changed, or cut short."""
    places = st.tuples(st.integers(0, len(data) - 1), st.integers(1, 255))
    changed = places.map(
        lambda at: data[: at[0]] + bytes([data[at[0]] ^ at[1]]) + data[at[0] + 1 :]
    )
    return st.one_of(changed, st.integers(0, len(data)).map(lambda n: data[:n]))


def toml(value: Any) -> str:
    """A value as TOML writes it; what TOML can't say comes out as something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value) if isinstance(value, int | float) else json.dumps(value)
