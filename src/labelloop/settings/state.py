"""[state] and [engine]: where labelloop keeps what it knows, and what reads it."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from labelloop.settings.values import Section, open_to_all, when_complete

_SECRET_OPTION = re.compile(r"(?i)secret|password|token|credential|access[.]?key")


def _spark_option(value: object) -> object:
    """The text that Spark takes for a value of TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class StateSettings(Section):
    """Where labelloop keeps what it knows. Paths are relative to labelloop.toml."""

    ledger: SecretStr = Field(
        SecretStr("sqlite:///.labelloop/ledger.db"),
        description="The ledger's database: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.",
    )
    warehouse: Annotated[str, AfterValidator(open_to_all)] = Field(
        ".labelloop/log",
        description="The prediction log: a folder, or s3://bucket/prefix on the server of the inputs.",
    )
    catalog: SecretStr = Field(
        SecretStr("sqlite:///.labelloop/catalog.db"),
        description="The Iceberg catalog of the prediction log.",
    )
    datasets: Path = Field(
        Path(".labelloop/datasets"), description="The folder of the dataset versions."
    )


class EngineSettings(Section):
    """What reads the prediction log when a round is selected."""

    kind: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="`duckdb` runs in this process. `spark` is for a log that one machine can't read "
        "in time. Both draw the same samples.",
    )
    master: Annotated[str, AfterValidator(open_to_all)] | None = Field(
        None,
        min_length=1,
        description="The Spark master: `local[*]`, `spark://HOST:PORT`, `yarn` or `k8s://URL`. "
        "Default: Spark's own.",
    )
    options: dict[str, Annotated[SecretStr, BeforeValidator(_spark_option)]] = Field(
        default_factory=dict,
        description='Settings of Spark: `"spark.executor.memory" = "8g"`. Those that begin with '
        "`spark.hadoop.` configure the access to files.",
    )

    @when_complete
    def _options_are_for_spark(self) -> None:
        if self.kind != "spark" and (self.master or self.options):
            raise ValueError('master and options are for kind = "spark"')
        for name in self.options:
            if not name.startswith("spark."):
                raise ValueError(f"option {name!r}: expected a name that begins with spark.")
            if not name.startswith("spark.hadoop.") and _SECRET_OPTION.search(name):
                raise ValueError(
                    f"option {name!r} would stand on Spark's command line for all to see: keep it in "
                    "spark-defaults.conf"
                )
