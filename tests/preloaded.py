"""What a run of the command line imports, imported ahead by processes that fork such runs."""

from importlib import import_module

MODULES = (
    "alembic.command",
    "boto3.session",
    "botocore.auth",
    "duckdb",
    "httpx",
    "jinja2",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pycurl",
    "pydantic",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "sqlalchemy.dialects.sqlite",
    "sqlglot",
    "tenacity",
    "tomlkit",
    "labelloop.adapters.iceberg.log",
    "labelloop.adapters.label_studio.annotator",
    "labelloop.adapters.s3.store",
    "labelloop.cli.main",
    "labelloop.cli.verbs",
    "labelloop.ledger.migrations",
    "labelloop.steps.build.build",
    "labelloop.steps.collect.collect",
    "labelloop.steps.index.bucket",
    "labelloop.steps.measure",
    "labelloop.steps.select.select",
    "labelloop.steps.send.send",
)


def preload() -> None:
    """Import all of it: most of a short command's time goes into that."""
    for name in MODULES:
        import_module(name)
