"""The hash of a dataset's content: of what is in it, and of nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from labelloop.core.dataset import content_hash

texts = st.text(max_size=6)
rows = st.lists(st.tuples(texts, texts, texts, texts), max_size=6)


@given(rows, rows)
def test_two_lists_share_a_hash_only_where_they_are_equal(
    one: list[tuple[str, str, str, str]], other: list[tuple[str, str, str, str]]
) -> None:
    assert (content_hash(one) == content_hash(other)) == (one == other)


def test_where_a_field_ends_makes_a_difference() -> None:
    assert content_hash([("ab", "c", "", "")]) != content_hash([("a", "bc", "", "")])
    assert content_hash([("a", "b", "c", "d")]) != content_hash([("a", "b", "c", "d")] * 2)


def test_the_hash_is_the_same_on_every_machine_and_day() -> None:
    assert content_hash([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert content_hash([("a", "h", "é", "human")]).startswith(
        content_hash(iter([("a", "h", "é", "human")]))[:64]
    )


def test_any_text_can_be_hashed() -> None:
    assert len(content_hash([("\ud800", "\0", "", "x" * 10_000)])) == 64
