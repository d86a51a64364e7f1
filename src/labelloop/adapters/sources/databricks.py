"""Inference tables of Databricks as a Source: Delta tables, of model serving and of the AI gateway."""

from collections.abc import Sequence
from typing import ClassVar

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.delta import DeltaSource
from labelloop.adapters.sources.envelopes import FAILED, EnvelopeSource
from labelloop.ports.source import SourceFile


class DatabricksSource(EnvelopeSource):
    """The logged requests of the table at `uri`, a folder or s3://bucket/prefix.

    `model` is the served entity, or else the version in `request_metadata`. Requests that were answered
    with an error are no predictions.
    """

    names: ClassVar[tuple[str, ...]] = (
        "id",
        "time",
        "client_request_id",
        "request",
        "response",
        "sampling_rate",
        "model",
        "status_code",
        "requester",
        "request_metadata",
    )

    def __init__(self, uri: str, *, s3: S3Access | None = None) -> None:
        super().__init__([DeltaSource(uri, s3=s3)])

    def statement(self, file: SourceFile, columns: Sequence[str]) -> str:  # noqa: ARG002  all are alike
        """The logged requests; a column that the table hasn't is null."""

        def either(*names: str, kind: str = "VARCHAR") -> str:
            there = [f'TRY_CAST("{name}" AS {kind})' for name in names if name in columns]
            return f"coalesce({', '.join([*there, f'NULL::{kind}'])})"

        metadata = either("request_metadata")
        version = f"json_extract_string({metadata}, '/model_version')"
        counted = "timestamp_ms::BIGINT * 1000" if "timestamp_ms" in columns else "NULL"
        if "request_time" in columns:
            counted = f"coalesce(epoch_us(request_time), {counted})"
        status = either("status_code", kind="INTEGER")
        return f"""
            SELECT n, {_fault(status)} AS fault, NULL::VARCHAR AS time_text,
                   make_timestamp({counted}) AS time,
                   {either("databricks_request_id")} AS id,
                   {either("client_request_id")} AS client_request_id,
                   {either("request")} AS request, {either("response")} AS response,
                   {either("sampling_fraction", kind="DOUBLE")} AS sampling_rate,
                   coalesce({either("served_entity_id")}, {version}) AS model,
                   {status}::VARCHAR AS status_code, {either("requester")} AS requester,
                   {metadata} AS request_metadata
            FROM raw"""  # noqa: S608  nothing in it is the user's


def _fault(status: str) -> str:
    return f"CASE WHEN {status} NOT BETWEEN 200 AND 299 THEN '{FAILED}status code ' || {status} END"
