"""The OpenAPI description of the API, made from the same tables as its paths."""

import json
from functools import cache
from typing import Any

from labelloop import __version__
from labelloop.errors import LabelloopError
from labelloop.steps.compare.compare import Compared, Judges
from labelloop.views.json_schema import schema
from labelloop.views.service import ServiceState
from labelloop.web import candidates
from labelloop.web.api import ACTIONS, PREFIX, READINGS, Action, Asked, Reading

_INSTANT = {"type": "string", "description": "2026-03-01 or 2026-03-01T12:00:00Z"}


@cache
def description() -> dict[str, Any]:
    """The API as OpenAPI 3.1."""
    kinds = {each.kind: each.of for each in READINGS}
    kinds |= {"service": ServiceState, "asked": Asked, "error": LabelloopError}
    kinds |= {"compare": Compared, "judges": Judges}
    text = json.dumps(schema(kinds)).replace("#/$defs/", "#/components/schemas/")
    made = json.loads(text)
    documents = {each["title"]: each for each in made["oneOf"]}
    schemas = made["$defs"] | {f"document.{kind}": of for kind, of in documents.items()}
    paths: dict[str, Any] = {f"{PREFIX}{each.path}": {"get": _reading(each)} for each in READINGS}
    paths |= {f"{PREFIX}{each.path}": {"post": _action(each)} for each in ACTIONS}
    paths[f"{PREFIX}/service"] = {
        "get": {
            "summary": "What the verbs did last, and what is paused. Scope `read`.",
            "responses": _responses("service", "200"),
        }
    }
    paths[candidates.SAMPLES] = {
        "get": {
            "summary": "The samples that a candidate must answer. Scope `operate`.",
            "responses": _responses("judges", "200"),
        }
    }
    paths[candidates.PATH] = {"post": _judging()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "labelloop", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _reading(each: Reading) -> dict[str, Any]:
    return {
        "summary": f"{each.says} Scope `{each.scope}`.",
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": _INSTANT}
            for name in each.parameters
        ],
        "responses": _responses(each.kind, "200"),
    }


def _judging() -> dict[str, Any]:
    text = {"type": "string"}
    several = {"type": "array", "items": text, "minItems": 1}
    return {
        "summary": "Is a candidate better than the model that serves? The body is a CSV or Parquet file "
        "with the columns sample_id and predicted_class. Scope `operate`.",
        "parameters": [
            {"name": "name", "in": "query", "required": True, "schema": text},
            {"name": "trained_on", "in": "query", "required": True, "schema": several},
            {"name": "min_gain", "in": "query", "required": False, "schema": {"type": "number"}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "text/csv": {"schema": text},
                "application/vnd.apache.parquet": {
                    "schema": {"type": "string", "format": "binary"}
                },
            },
        },
        "responses": _responses("compare", "200"),
    }


def _action(each: Action) -> dict[str, Any]:
    return {
        "summary": f"{each.says} Scope `operate`.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in each.parameters
        ]
        + [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in each.fields
        ],
        "responses": _responses("asked", "200", "202"),
    }


def _responses(kind: str, *statuses: str) -> dict[str, Any]:
    def of(kind: str, says: str) -> dict[str, Any]:
        held = {"$ref": f"#/components/schemas/document.{kind}"}
        return {"description": says, "content": {"application/json": {"schema": held}}}

    return {status: of(kind, "done" if status == "200" else "accepted") for status in statuses} | {
        "default": of("error", "an error, with what to do")
    }
