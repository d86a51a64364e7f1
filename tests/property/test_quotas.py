"""Quotas: what they promise for any rows, floors and ceilings."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from labelloop.core.queue import Quotas
from labelloop.core.ranked import Ranked
from labelloop.sampling.quotas import fill

groups = st.tuples(st.sampled_from(["cat", "dog", "bird", None]), st.sampled_from(["l", "r"]))
pools = st.lists(groups, max_size=40).map(
    lambda held: [Ranked(f"{i}", i, -float(i), g) for i, g in enumerate(held)]
)
budgets = st.integers(0, 45)


def with_columns(**quotas: object) -> Quotas:
    """Quotas that name both columns, in the order of the pools; a ceiling of 99 stops nothing."""
    ceilings = dict([("class", 99), ("camera", 99), *quotas.pop("max_per", ())])  # type: ignore[call-overload]
    made = Quotas(max_per=tuple(ceilings.items()), **quotas)  # type: ignore[arg-type]
    order = {"class": 0, "camera": 1}
    assert sorted(made.columns, key=order.__getitem__) == list(made.columns)
    return made


@given(pools, budgets)
def test_without_quotas_the_first_rows_are_taken(pool: list[Ranked], budget: int) -> None:
    assert fill(pool, budget, with_columns()) == pool[:budget]


@given(pools, budgets, st.integers(1, 9))
def test_no_value_exceeds_its_ceiling_and_nothing_else_is_left_out(
    pool: list[Ranked], budget: int, most: int
) -> None:
    taken = fill(pool, budget, with_columns(max_per=[("camera", most)]))
    held = Counter(row.groups[1] for row in taken)
    assert all(n <= most for n in held.values())
    assert taken == sorted(taken, key=lambda row: row.line)
    if len(taken) < budget:
        assert all(held[row.groups[1]] == most for row in pool if row not in taken)


@given(pools, budgets, st.integers(1, 9))
def test_floors_are_met_as_far_as_there_are_rows_and_budget(
    pool: list[Ranked], budget: int, least: int
) -> None:
    taken = fill(pool, budget, with_columns(min_per=(("class", least),)))
    there, held = (Counter(r.groups[0] for r in rows) for rows in (pool, taken))
    wanted = {value: min(least, n) for value, n in there.items()}
    assert len(taken) == min(budget, len(pool))
    if sum(wanted.values()) <= budget:
        assert all(held[value] >= n for value, n in wanted.items())
        floors = [r for v, n in wanted.items() for r in [p for p in pool if p.groups[0] == v][:n]]
        others = [row for row in pool if row not in floors]
        assert set(taken) == {*floors, *others[: budget - len(floors)]}


@given(pools, budgets)
def test_balanced_values_differ_by_one_unless_they_ran_out(pool: list[Ranked], budget: int) -> None:
    taken = fill(pool, budget, with_columns(balance="class"))
    there, held = (Counter(r.groups[0] for r in rows) for rows in (pool, taken))
    assert len(taken) == min(budget, len(pool))
    most = max(held.values(), default=0)
    assert all(held[value] >= min(most - 1, n) for value, n in there.items())
    for value in there:  # within a value, by rank
        of = [row for row in pool if row.groups[0] == value]
        assert [row for row in taken if row.groups[0] == value] == of[: held[value]]


@given(pools, budgets, st.integers(1, 9), st.integers(1, 9))
def test_all_quotas_at_once_keep_the_budget_and_the_ceilings(
    pool: list[Ranked], budget: int, least: int, most: int
) -> None:
    quotas = with_columns(
        balance="class", min_per=(("class", least),), max_per=[("camera", most), ("class", most)]
    )
    taken = fill(pool, budget, quotas)
    assert len(taken) <= budget
    counts = [Counter(row.groups[i] for row in taken) for i in (0, 1)]
    assert all(n <= most for count in counts for n in count.values())
    if len(taken) < budget:
        left = [row for row in pool if row not in taken]
        assert all(counts[0][r.groups[0]] == most or counts[1][r.groups[1]] == most for r in left)
