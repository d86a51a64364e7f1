"""Listings read side by side."""

from collections.abc import Iterator
from threading import Barrier

import pytest

from labelloop.adapters.s3.listing import AT_ONCE, side_by_side


def test_every_page_of_every_listing_comes_once() -> None:
    listings = [iter([[n, i] for i in range(n % 3)]) for n in range(3 * AT_ONCE)]
    expected = [[n, i] for n in range(3 * AT_ONCE) for i in range(n % 3)]
    assert sorted(side_by_side(listings)) == expected


def test_several_are_read_at_once() -> None:
    together = Barrier(AT_ONCE, timeout=200)

    def listing(n: int) -> Iterator[list[int]]:
        together.wait()
        yield [n]

    assert sorted(side_by_side(map(listing, range(AT_ONCE)))) == [[n] for n in range(AT_ONCE)]


def test_the_first_error_ends_all() -> None:
    def broken() -> Iterator[list[int]]:
        yield [1]
        raise ValueError("no page")

    with pytest.raises(ValueError, match="no page"):
        list(side_by_side([broken(), iter([[2]])]))
