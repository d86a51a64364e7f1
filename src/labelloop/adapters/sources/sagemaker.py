"""Data capture of SageMaker endpoints as a Source: JSON lines in a folder an hour."""

import re
from collections.abc import Sequence
from typing import ClassVar

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.engine import listed, quoted
from labelloop.adapters.sources.envelopes import EnvelopeSource, body, instant
from labelloop.adapters.sources.files import LinesSource
from labelloop.ports.source import SourceFile

_PLACE = re.compile(r"/([^/]+)/([^/]+)/\d{4}/\d\d/\d\d/\d\d/[^/]+$")
"""endpoint/variant/year/month/day/hour/file"""

_PATHS = (
    "/eventMetadata/eventId",
    "/eventMetadata/inferenceTime",
    "/eventMetadata/inferenceId",
    "/eventMetadata/customAttributes",
    "/captureData/endpointInput/data",
    "/captureData/endpointInput/encoding",
    "/captureData/endpointInput/observedContentType",
    "/captureData/endpointOutput/data",
    "/captureData/endpointOutput/encoding",
    "/captureData/endpointOutput/observedContentType",
)


class SageMakerSource(EnvelopeSource):
    """The captured requests below `uri`, a folder or s3://bucket/prefix.

    Endpoint and variant are those of the path; `model` is the variant.
    """

    names: ClassVar[tuple[str, ...]] = (
        "id",
        "time",
        "inference_id",
        "custom_attributes",
        "request",
        "request_type",
        "response",
        "response_type",
        "endpoint",
        "model",
    )

    def __init__(self, uri: str, *, s3: S3Access | None = None) -> None:
        super().__init__([LinesSource(uri, s3=s3)])

    def statement(self, file: SourceFile, columns: Sequence[str]) -> str:  # noqa: ARG002  all are alike
        """The captured requests of a file."""
        place = _PLACE.search(file.uri)
        endpoint, variant = (quoted(name) for name in place.groups()) if place else ("NULL", "NULL")
        return f"""
            SELECT n, {_FAULT} AS fault, v[2] AS time_text, {instant("v[2]")} AS time,
                   v[1] AS id, v[3] AS inference_id, v[4] AS custom_attributes,
                   {body("v[5]", "v[6]", "v[7]")} AS request, v[7] AS request_type,
                   {body("v[8]", "v[9]", "v[10]")} AS response, v[10] AS response_type,
                   {endpoint}::VARCHAR AS endpoint, {variant}::VARCHAR AS model
            FROM (SELECT n, json_valid(line) AS ok,
                         CASE WHEN json_valid(line)
                         THEN json_extract_string(line, {listed(_PATHS)}) END AS v
                  FROM raw)"""  # noqa: S608  names of folders are quoted


_FAULT = """
    CASE WHEN NOT ok THEN 'no JSON'
         WHEN v[1] IS NULL AND v[8] IS NULL THEN 'no captured request: neither eventMetadata nor '
              || 'captureData (the capture of batch transform only lists files)'
         WHEN v[8] IS NULL THEN 'no endpointOutput was captured' END"""
