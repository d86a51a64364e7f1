"""The manifest's columns, the order of its rows, and their content hash."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.content_hash import ContentHash
from labelloop.core.dataset import Origin, Row
from labelloop.steps.build import manifest_file
from labelloop.steps.build.manifest_file import manifest_schema
from tests.unit.released import MODEL, NOBODY, ROW
from tests.unit.test_content_hash import plain_hash

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
some_rows = st.lists(
    st.builds(
        lambda sample_id, content, label, human: replace(
            ROW,
            sample_id=sample_id,
            content_hash=content,
            label=label,
            **({} if human else {**MODEL, **NOBODY}),  # type: ignore[arg-type]
        ),
        texts,
        texts,
        texts,
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda row: row.sample_id,
).map(lambda rows: sorted(rows, key=lambda row: row.sample_id))


def cut(rows: Sequence[Row], cuts: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The rows in batches that end at `cuts`; some batches are empty, and slices of larger ones."""
    held = [asdict(row) for row in [ROW, *rows]]
    whole = pa.RecordBatch.from_pylist(held, schema=manifest_schema())
    ends = sorted({min(c, len(rows)) for c in cuts} | {0, len(rows)})
    yield whole.slice(1, 0)
    for start, end in pairwise(ends):
        yield whole.slice(1 + start, end - start)


@settings(deadline=None, max_examples=50)
@given(some_rows, st.lists(st.integers(0, 12)))
def test_the_hash_is_that_of_the_rows_whatever_the_batches(
    rows: list[Row], cuts: list[int]
) -> None:
    digest = ContentHash()
    for batch in cut(rows, cuts):
        digest.update(batch)
    wanted = plain_hash((r.sample_id, r.content_hash, r.label, r.origin.value) for r in rows)
    assert digest.hexdigest() == wanted


@settings(deadline=None, max_examples=50)
@given(some_rows, st.lists(st.integers(0, 12)))
def test_rows_and_batches_are_merged_in_order(rows: list[Row], cuts: list[int]) -> None:
    human = [row for row in rows if row.origin is Origin.HUMAN]
    model = [row for row in rows if row.origin is Origin.MODEL]
    found = [
        row for batch in manifest_file.merged(human, cut(model, cuts)) for row in batch.to_pylist()
    ]
    assert [Row(**{**row, "origin": Origin(row["origin"])}) for row in found] == rows


@settings(deadline=None, max_examples=50)
@given(some_rows, st.lists(st.integers(0, 12)), st.integers(1, 4))
def test_texts_are_looked_up_page_by_page(rows: list[Row], cuts: list[int], page: int) -> None:
    asked: list[int] = []

    def lookup(ids: Sequence[str]) -> dict[str, str]:
        asked.append(len(ids))
        return {i: f"text of {i}" for i in ids if i}

    batches = manifest_file.with_texts(cut(rows, cuts), lookup, page=page)
    found = [row["text"] for batch in batches for row in batch.to_pylist()]
    assert found == [f"text of {r.sample_id}" if r.sample_id else None for r in rows]
    assert max(asked, default=0) <= page


def test_a_manifest_is_written_as_it_comes_and_counted(tmp_path: Path) -> None:
    model = {**MODEL, **NOBODY}
    rows = [
        replace(ROW, sample_id="a", certificate=7, **model),  # type: ignore[arg-type]
        replace(ROW, sample_id="b"),
        replace(ROW, sample_id="c", **model),  # type: ignore[arg-type]
    ]
    seen: list[int] = []
    counts, digest = manifest_file.write(tmp_path / "m", cut(rows, [2]), seen.append)
    assert (counts.human, counts.model, counts.certified) == (1, 2, 1)
    assert seen[-1] == 3
    table = pq.read_table(tmp_path / "m")
    assert table.schema.equals(manifest_schema())
    assert table.to_pylist() == [{**asdict(r), "origin": r.origin.value} for r in rows]
    assert digest == plain_hash(
        (r.sample_id, r.content_hash, r.label, r.origin.value) for r in rows
    )
