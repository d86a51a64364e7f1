"""The JSON Schema of the form in json_form, made from the types of the results."""

import ast
import inspect
import re
import sys
import types
import typing
from collections import abc
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from labelloop.core.estimate import MAY_BE_INFINITE, Undefined
from labelloop.errors import LabelloopError
from labelloop.views.json_form import CONTRACT, failure

Schema = dict[str, Any]
_SIMPLE: Mapping[object, Schema] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
}
_LISTS = (list, tuple, set, frozenset, abc.Sequence, abc.Set, abc.Collection, abc.Iterable)


def schema(kinds: Mapping[str, Any]) -> Schema:
    """The schema of every document, by its kind: the type of its result."""
    made = _Definitions()
    documents = [
        {
            "title": kind,
            "type": "object",
            "properties": {
                "labelloop": {"const": CONTRACT},
                "kind": {"const": kind},
                "result": made.schema_of(of),
            },
            "required": ["labelloop", "kind", "result"],
        }
        for kind, of in kinds.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What labelloop prints with --json",
        "oneOf": documents,
        "$defs": dict(sorted(made.found.items())),
    }


class _Definitions:
    """The classes met so far, each described once."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}
        self._classes: dict[str, type] = {}

    def schema_of(self, of: Any) -> Schema:
        """The schema of a type.

        Raises:
            TypeError: its values have no JSON form.
        """
        origin, inner = typing.get_origin(of), typing.get_args(of)
        if origin is Annotated:
            held = self.schema_of(inner[0])
            return _union([held, _SIMPLE[type(None)]]) if MAY_BE_INFINITE in inner[1:] else held
        if origin in {Union, types.UnionType}:
            return _union([self.schema_of(each) for each in inner])
        if origin is Literal:
            return {"enum": list(inner)}
        if origin is tuple and inner[-1] is not Ellipsis:
            parts = [self.schema_of(each) for each in inner]
            return {"type": "array", "prefixItems": parts, "minItems": len(parts), "items": False}
        if origin in _LISTS:
            return {"type": "array", "items": self.schema_of(inner[0])}
        if origin in {dict, abc.Mapping}:
            return {"type": "object", "additionalProperties": self.schema_of(inner[1])}
        if of in _SIMPLE:
            return _SIMPLE[of]
        if isinstance(of, type) and issubclass(of, Enum):
            return {"enum": [each.value for each in of]}
        if isinstance(of, type) and (is_dataclass(of) or issubclass(of, LabelloopError)):
            return self._reference(of)
        raise TypeError(f"{of} has no JSON form")

    def _reference(self, of: type) -> Schema:
        name = "Error" if issubclass(of, LabelloopError) else of.__name__
        known = self._classes.setdefault(name, of)
        if known is not of and name != "Error":
            raise TypeError(f"{of} and {known} have one name: rename one of them")
        if name not in self.found:
            self.found[name] = {}  # one that holds itself finds it
            self.found[name] = self._described(of)
        return {"$ref": f"#/$defs/{name}"}

    def _described(self, of: type) -> Schema:
        if of is Undefined:
            return _object("Why there is no number.", {"undefined": _SIMPLE[str]})
        if issubclass(of, LabelloopError):
            says = "What failed, and what to do about it."
            return _object(says, dict.fromkeys(failure("", "", ""), _SIMPLE[str]))
        doc = inspect.getdoc(of) or ""
        explained = dict(_explained(doc))
        hints = typing.get_type_hints(of, globalns=_names_in(of.__module__), include_extras=True)
        held: dict[str, Schema] = {}
        for field in fields(of):  # type: ignore[arg-type]  # every other class is a dataclass
            held[field.name] = self.schema_of(hints[field.name])
            if field.name in explained:
                held[field.name] = {**held[field.name], "description": explained[field.name]}
        return _object(" ".join(doc.partition("\n\n")[0].split()), held)


def _object(says: str, properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": says,
        "properties": dict(properties),
        "required": list(properties),
    }


def _union(parts: list[Schema]) -> Schema:
    """One of several; of simple types a list of them."""
    if all(part.keys() == {"type"} for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _names_in(module: str) -> dict[str, Any]:
    """What annotations of a module may name, imports for type checkers included."""
    found = dict(vars(sys.modules[module]))
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module, "exec"), found)  # noqa: S102  our own source
    return found


def _explained(doc: str) -> Iterator[tuple[str, str]]:
    """What a docstring says of each field: below its name, or below several."""
    for names, text in re.findall(r"^(\w+(?:, \w+)*)\n((?:    .*\n?)+)", doc, re.MULTILINE):
        said = " ".join(text.split())
        each, parts = names.split(", "), said.split("; ")
        yield from zip(each, parts if len(parts) == len(each) else [said] * len(each), strict=True)


# --- what readers rely on -------------------------------------------------------------------------


def breaks(old: Schema, new: Schema) -> list[str]:
    """What a reader of the old form could stumble over in the new one; fields may be added."""
    if _contract(old) != _contract(new):
        return []
    before, now = _by_kind(old), _by_kind(new)
    found = [f"kind {kind} is gone" for kind in before.keys() - now.keys()]
    for kind in before.keys() & now.keys():
        found += _Change(old["$defs"], new["$defs"]).breaks(before[kind], now[kind], kind)
    return sorted(found)


def _contract(of: Schema) -> int:
    return int(of["oneOf"][0]["properties"]["labelloop"]["const"])


def _by_kind(of: Schema) -> dict[str, Schema]:
    return {each["title"]: each["properties"]["result"] for each in of["oneOf"]}


class _Change:
    """From one set of definitions to another."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def breaks(self, old: Schema, new: Schema, at: str) -> list[str]:
        """What changed for a reader of `old`, in words; `at` says where."""
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if "anyOf" in old or "anyOf" in new:
            was = old.get("anyOf", [old])
            unknown = [
                each
                for each in new.get("anyOf", [new])
                if all(self.breaks(one, each, at) for one in was)
            ]
            return [f"{at} can be something else"] if unknown else []
        found = []
        if old.keys() - {"description"} - new.keys() or not _types(new) <= _types(old):
            return [f"{at} is of another type"]
        if set(old.get("enum", ())) - set(new.get("enum", ())):
            found.append(f"{at} lost a value")
        for name, held in old.get("properties", {}).items():
            if name not in new.get("properties", {}):
                found.append(f"{at}.{name} is gone")
                continue
            found += self.breaks(held, new["properties"][name], f"{at}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), dict):
                found += self.breaks(old[key], new[key], f"{at}[]")
        if len(old.get("prefixItems", ())) != len(new.get("prefixItems", ())):
            return [*found, f"{at} has another length"]
        for number, held in enumerate(old.get("prefixItems", ())):
            found += self.breaks(held, new["prefixItems"][number], f"{at}[{number}]")
        return found


def _resolved(of: Schema, definitions: Schema) -> Schema:
    return definitions[of["$ref"].rpartition("/")[2]] if "$ref" in of else of


def _types(of: Schema) -> set[str]:
    named = of.get("type", [])
    return {named} if isinstance(named, str) else set(named)
