"""Spark as an engine, as far as it shows without Spark."""

import sys
from pathlib import Path

import pytest

from labelloop.adapters.spark.engine import SparkEngine
from labelloop.core.round import FrameRange
from labelloop.errors import ConfigError
from tests.contract.test_prediction_log import append, in_frame, open_iceberg, prediction


def test_without_pyspark_only_a_selection_fails_and_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigError, match="pyspark, which isn't installed"):
        SparkEngine().check()
    with open_iceberg(tmp_path, spark=SparkEngine()) as log:
        append(log, 1, [prediction("a")])
        assert set(log.samples(["a"])) == {"a"}
        with pytest.raises(ConfigError, match="pyspark, which isn't installed") as caught:
            in_frame(log, FrameRange(batch_to=1))
    assert "pip install 'labelloop[spark]'" in caught.value.remedy
