"""Spark for the tests, where it can be had: `make spark` brings it."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

AVAILABLE = find_spec("pyspark") is not None and bool(
    shutil.which("java") or os.environ.get("JAVA_HOME")
)
"""Whether tests of Spark can run here."""

SPARK_LOGS = ["spark in a folder with odd characters"] if AVAILABLE else []
"""The kinds of log that the contract is held against with Spark for its selections."""


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Any]:
    """A session that whatever the tests open shares, so that Spark starts once."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.log.level", "ERROR")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
