"""The hash of a dataset's content: of what is in it, and of nothing else."""

from collections.abc import Iterable
from hashlib import sha256

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.content_hash import HASHED, ContentHash

Rows = list[tuple[str, str, str, str]]

texts = st.text(max_size=6)
rows = st.lists(st.tuples(texts, texts, texts, texts), max_size=6)


def plain_hash(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """The hash, field by field."""
    digest = sha256()
    for row in rows:
        for text in row:
            data = text.encode()
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()


def hashed(*batches: Rows) -> str:
    digest = ContentHash()
    schema = pa.schema([(name, pa.string()) for name in HASHED])
    for batch in batches:
        columns = list(zip(*batch, strict=True)) or [()] * len(HASHED)
        digest.update(pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=schema))
    return digest.hexdigest()


@settings(deadline=None)
@given(rows, rows)
def test_two_lists_share_a_hash_only_where_they_are_equal(one: Rows, other: Rows) -> None:
    assert (hashed(one) == hashed(other)) == (one == other)
    assert hashed(one, other) == hashed(one + other) == plain_hash(one + other)


def test_where_a_field_ends_makes_a_difference() -> None:
    assert hashed([("ab", "c", "", "")]) != hashed([("a", "bc", "", "")])
    assert hashed([("a", "b", "c", "d")]) != hashed([("a", "b", "c", "d")] * 2)


def test_the_hash_is_the_same_on_every_machine_and_day() -> None:
    assert hashed([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hashed([("a", "h", "é", "human")]) == (
        "3e3f993ec339fb404b399f00e23bf475ab1e9358cbe5e4f52c0d94136bb7e6a8"
    )
