"""What KServe's logger writes as a Source: requests and responses as events, joined on their id."""

from collections.abc import Sequence
from typing import ClassVar

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.engine import quoted
from labelloop.adapters.sources.envelopes import EnvelopeSource, body, fields, instant
from labelloop.adapters.sources.files import FilesSource, LinesSource
from labelloop.ports.source import SourceFile

_FIELDS = {
    "id": ("Id", "id"),
    "type": ("ReqType", "reqType", "req_type", "type"),
    "content": ("Bytes", "bytes", "data_base64"),
    "data": ("data",),
    "media_type": ("ContentType", "contentType", "content_type", "datacontenttype"),
    "service": (
        "InferenceService",
        "inferenceService",
        "inference_service",
        "inferenceservicename",
    ),
    "namespace": ("Namespace", "namespace"),
    "component": ("Component", "component"),
    "endpoint": ("Endpoint", "endpoint"),
    "metadata": ("Metadata", "metadata"),
    "annotations": ("Annotations", "annotations"),
    "happened": ("time",),
    "recorded": ("recordedtime",),
}
"""What each field is called: in the JSON, Parquet and CSV of blob storage, and in CloudEvents."""


class KServeSource(EnvelopeSource):
    """The events below `uri`, a folder or s3://bucket/prefix: JSON, CSV or Parquet.

    `model` is the inference service, and `/canary` behind it for a canary. Blob storage notes no time: then
    it is that of the file.
    """

    names: ClassVar[tuple[str, ...]] = (
        "id",
        "time",
        "request",
        "response",
        "model",
        "namespace",
        "component",
        "endpoint",
        "metadata",
        "annotations",
    )
    joins = True

    def __init__(self, uri: str, *, s3: S3Access | None = None) -> None:
        files = [FilesSource(uri, "csv", s3=s3), FilesSource(uri, "parquet", s3=s3)]
        super().__init__([LinesSource(uri, s3=s3), *files])

    def statement(self, file: SourceFile, columns: Sequence[str]) -> str:
        """The events of a file, each with the body that it has."""
        written = quoted(f"{file.changed_at:%Y-%m-%d %H:%M:%S.%f}") if file.changed_at else "NULL"
        decoded = body("content", "'BASE64'", "media_type")
        return f"""
            SELECT n, {_FAULT} AS fault, coalesce(happened, recorded) AS time_text,
                   coalesce({instant("happened")}, {instant("recorded")},
                            CASE WHEN coalesce(happened, recorded) IS NULL
                            THEN {written}::TIMESTAMP END) AS time,
                   id, id AS pair, kind = 'request' AS begins, true AS expected,
                   CASE WHEN kind = 'request' THEN coalesce(data, {decoded}) END AS request,
                   CASE WHEN kind = 'response' THEN coalesce(data, {decoded}) END AS response,
                   service || CASE WHEN endpoint = 'canary' THEN '/canary' ELSE '' END AS model,
                   namespace, component, endpoint, metadata, annotations
            FROM (SELECT *, regexp_extract(type, '[^.]*$') AS kind
                  FROM ({fields(_FIELDS, columns)}))"""  # noqa: S608  only names of fields


_FAULT = """
    CASE WHEN NOT ok THEN 'no JSON'
         WHEN kind IS NULL OR kind NOT IN ('request', 'response')
         THEN 'neither a request nor a response: ' || coalesce(type, 'it has no type')
         WHEN coalesce(id, '') = '' THEN 'no id, which joins a request to its response' END"""
