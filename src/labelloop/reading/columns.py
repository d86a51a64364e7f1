"""How a table of predictions is read: what its columns are called, and what its rows must meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from labelloop.core.json_path import PLACEHOLDER, JsonPath, json_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """What the columns of a table are called; None: it has none of that kind.

    A name may be a path into the JSON that a column holds: `$.response.label`.

    uri
        a column, or a template such as `s3://bucket/{request_id}.png`; None: the sample's id is
        its key in the store
    text
        a column with the text that people label, or a template of several; None: it is the object at the uri
    attributes
        columns to keep for slices; None: all others
    explicit
        the fields whose names the user wrote
    class_by_probabilities
        the class may be told by the probabilities alone
    """

    sample_id: str = "sample_id"
    predicted_class: str = "predicted_class"
    predicted_at: str = "predicted_at"
    confidence: str | None = "confidence"
    model: str | None = "model"
    role: str | None = "role"
    probabilities: str | None = "probabilities"
    embedding: str | None = "embedding"
    sampling_rate: str | None = "sampling_rate"
    flagged: str | None = "flagged"
    corrected_class: str | None = "corrected_class"
    content_hash: str | None = None
    uri: str | None = None
    text: str | None = None
    attributes: tuple[str, ...] | None = ()
    explicit: frozenset[str] = frozenset()
    class_by_probabilities: bool = False

    def known(self) -> frozenset[str]:
        """Every column that has a meaning of its own; the others may be attributes."""
        named = {getattr(self, f.name) for f in fields(self) if f.name not in _NO_COLUMN}
        return frozenset(str(n) for n in named - {None}) | {*self.in_uri(), *self.in_text()}

    def needed(self) -> list[tuple[str, str]]:
        """The columns that the table must have, each with the setting that names it."""
        required = {"sample_id", "predicted_at"}
        required.add("probabilities" if self.class_by_probabilities else "predicted_class")
        named = [
            (f.name, getattr(self, f.name))
            for f in fields(self)
            if f.name in (required | self.explicit) - _NO_COLUMN
            and getattr(self, f.name) is not None
        ]
        named += [("uri", name) for name in self.in_uri()]
        named += [("text", name) for name in self.in_text() if "text" in self.explicit]
        named += [("attributes", name) for name in self.attributes or ()]
        return named

    def wanted(self) -> list[str] | None:
        """The columns to read; None: all of them."""
        if self.attributes is None:
            return None
        return sorted(self.known() | set(self.attributes))

    def paths(self) -> tuple[JsonPath, ...]:
        """The columns that are paths into others."""
        return json_paths(sorted(self.known() | set(self.attributes or ())))

    def in_uri(self) -> tuple[str, ...]:
        """The columns that the uri is made of."""
        if self.uri is None:
            return ()
        return tuple(PLACEHOLDER.findall(self.uri)) or (self.uri,)

    def in_text(self) -> tuple[str, ...]:
        """The columns that the text is made of."""
        if self.text is None:
            return ()
        return tuple(PLACEHOLDER.findall(self.text)) or (self.text,)


_NO_COLUMN = frozenset({"uri", "text", "attributes", "explicit", "class_by_probabilities"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """What a row must meet to be a prediction.

    class_order
        the classes in the order of the probabilities; where a row names no class, it is the likeliest
    unusable_is_wrong
        an answer that is no class stays, and is wrong, instead of being rejected
    store_uri
        where a sample's object lies if the table doesn't say; uris must be of its kind
    max_text_bytes
        longer texts are rejected
    """

    classes: frozenset[str]
    store_uri: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    class_order: tuple[str, ...] = ()
    unusable_is_wrong: bool = False
    confidence_divisor: float | None = None
    predicted_at_unit: str | None = None
    max_text_bytes: int = 100_000


@dataclass(frozen=True, slots=True)
class HowToRead:
    """How a table's rows are read."""

    names: ColumnNames
    rules: TableRules
