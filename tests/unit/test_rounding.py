"""A confidence that single precision rounded out of [0, 1] is 1 or 0, wherever it comes in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.core.sample import RejectReason
from labelloop.errors import ArgumentError
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.rows import read_rows
from labelloop.sampling import inclusion_probabilities
from labelloop.statistics import Frame, RiskModel
from tests.hostile import tries
from tests.unit.test_tags import read

NEAR = st.one_of(st.floats(1, 1 + 1e-4), st.floats(-1e-4, 0))
FAR = st.one_of(st.floats(1.0002, 100), st.floats(-100, -0.0002))


def by_table(column: pa.Array) -> float | RejectReason | None:
    batch = pa.record_batch(
        {
            "sample_id": ["a"],
            "predicted_class": ["cat"],
            "predicted_at": ["2026-03-01"],
            "confidence": column,
        }
    )
    rules = TableRules(classes=frozenset({"cat"}), store_uri="s3://b")
    found = read_rows(batch, [1], file_uri="f", names=ColumnNames(), rules=rules)
    if found.rejects:
        return found.rejects[0].reason
    sure: float | None = found.table.column("confidence")[0].as_py()
    return sure


@tries(60)
@given(NEAR)
def test_nearly_one_is_one_and_nearly_nothing_is_none(value: float) -> None:
    expected = float(np.clip(value, 0, 1))
    prediction = read(confidence=repr(value)).prediction
    assert prediction is not None
    assert prediction.confidence == expected
    assert by_table(pa.array([value])) == expected
    assert by_table(pa.array([repr(value)])) == expected
    assert by_table(pa.array([value], pa.float32())) == pytest.approx(expected, abs=1e-7)
    draws = [0.2, 0.5, value]
    plain = [0.2, 0.5, expected]
    assert (
        inclusion_probabilities(draws, budget=2, n_uniform=1)
        == inclusion_probabilities(plain, budget=2, n_uniform=1)
    ).all()
    frames = [Frame.from_arrays(risk, [0.5] * 3) for risk in (draws, plain)]
    assert (frames[0].n == frames[1].n).all()
    model = RiskModel.fit([0.2, 0.9, 0.6, 0.7], [False, True, True, False], [0.5] * 4)
    assert (model.predict(draws) == model.predict(plain)).all()


@tries(40)
@given(FAR)
def test_what_lies_further_out_is_refused(value: float) -> None:
    reject = read(confidence=repr(value)).reject
    assert reject is not None
    assert reject.reason is by_table(pa.array([value])) is RejectReason.BAD_CONFIDENCE
    with pytest.raises(ArgumentError):
        inclusion_probabilities([0.5, value], budget=1, n_uniform=0)
    with pytest.raises(ArgumentError):
        Frame.from_arrays([0.5, value], [0.5, 0.5])
