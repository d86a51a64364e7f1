"""Croissant 1.0 metadata beside an export: what is in which file, for people and programs.

The vocabulary is MLCommons' (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html).
License, creator and address are not labelloop's to say; add them before publishing.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from labelloop.core.dataset import DatasetVersion
from labelloop.core.image_kind import ENDINGS, MEDIA_TYPES
from labelloop.exports import manifest
from labelloop.exports.shards import Shard, hash_of
from labelloop.exports.target import CROISSANT, write_json

if TYPE_CHECKING:
    import pyarrow as pa

Node: TypeAlias = dict[str, object]

_TYPES = {"bool": "sc:Boolean", "string": "sc:Text", "double": "sc:Float", "int64": "sc:Integer"}
_TERMS = (
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
_IMAGES = list(MEDIA_TYPES.values())


def describe_table(path: Path, version: DatasetVersion, kind: str, columns: "pa.Schema") -> Path:
    """Write what a CSV or JSON Lines file holds beside it; returns the metadata's path."""
    described = path.with_name(f"{path.stem}.{CROISSANT}")
    samples = _records("samples", _fields("samples", columns, path.name))
    write_json(described, _document([version], [_file(path, kind)], [samples]))
    return described


def describe_images(
    target: Path, version: DatasetVersion, listed: Path, columns: "pa.Schema"
) -> None:
    """Write what a folder of images holds: each sample with its image, joined by the file's name."""
    images = _files("image-files", ["*/" + "[0-9a-f]" * 16 + "-*"], _IMAGES)
    fields = _fields("samples", columns, listed.name)
    path: Node = {
        "fileSet": {"@id": "image-files"},
        "extract": {"fileProperty": "fullpath"},
        "transform": {"regex": "(.+)"},  # readers join texts, and take a path for none
    }
    content: Node = {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": "content"}}
    joined = {"references": _column(listed.name, "file")}
    pictures = [
        {**_field("images", "file", "sc:Text", path), **joined},
        _field("images", "image", "sc:ImageObject", content),
        _field("images", "label", "sc:Text", _column(listed.name, "label")),
    ]
    files = [_file(listed, "text/csv"), images]
    records = [_records("samples", fields, key="samples/file"), _records("images", pictures)]
    write_json(target / CROISSANT, _document([version], files, records))


def describe_parquet(
    target: Path,
    versions: Sequence[DatasetVersion],
    shards: Sequence[Shard],
    columns: "pa.Schema",
    *,
    with_image: bool,
) -> None:
    """Write what the Parquet files of each split hold."""
    kind = "application/x-parquet"
    files: list[Node] = [_shard(shard, kind) for shard in shards]
    records = []
    for split in dict.fromkeys(shard.name.split("/")[1].split("-")[0] for shard in shards):
        source = f"{split}-files"
        files.append(_files(source, [f"data/{split}-*.parquet"], [kind]))
        others = [f for f in columns if f.name != "label"]
        fields = _fields(split, others, source, of="fileSet")
        label = _column(source, "label", of="fileSet")
        fields.insert(0, _field(split, "label", "sc:Integer", label))
        if with_image:
            image = _column(source, "image", of="fileSet")
            image["transform"] = {"jsonPath": "bytes"}
            fields.insert(0, _field(split, "image", "sc:ImageObject", image))
        records.append(_records(split, fields))
    write_json(target / CROISSANT, _document(versions, files, records))


def describe_tars(target: Path, version: DatasetVersion, shards: Sequence[Shard]) -> None:
    """Write what the tar files hold: the images and the classes' places, each by its sample's key."""
    within = [{"@id": shard.name} for shard in shards]
    endings = [*(f"*{ending}" for ending in sorted(ENDINGS)), "*.bin"]
    files = [_shard(shard, "application/x-tar") for shard in shards]
    records = []
    for name, includes, kinds, kind in (
        ("image", endings, _IMAGES, "sc:ImageObject"),
        ("class", ["*.cls"], ["text/plain"], "sc:Text"),
    ):
        source = f"{name}-files"
        files.append({**_files(source, includes, kinds), "containedIn": within})
        key: Node = {
            "fileSet": {"@id": source},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": r"^([0-9a-f]+)\."},
        }
        content: Node = {"fileSet": {"@id": source}, "extract": {"fileProperty": "content"}}
        fields = [_field(name, "key", "sc:Text", key), _field(name, name, kind, content)]
        records.append(_records(name, fields))
    write_json(target / CROISSANT, _document([version], files, records))


def _document(
    versions: Sequence[DatasetVersion], distribution: Sequence[Node], records: Sequence[Node]
) -> Node:
    newest = max(versions, key=lambda v: v.created_at)
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "-".join(f"{v.name}-v{v.version}" for v in versions),
        "description": " ".join(_said(v) for v in versions),
        "version": ".".join([*(str(v.version) for v in versions), "0", "0"][:3]),
        "datePublished": newest.created_at.date().isoformat(),
        "distribution": list(distribution),
        "recordSet": list(records),
    }


def _said(version: DatasetVersion) -> str:
    promised, taken_out = manifest.guarantee(version), manifest.redaction(version)
    return (
        f"{version.name} v{version.version}: {version.n_human:,} labels by people, "
        f"{version.n_model:,} by the model"
        + (f" ({promised})" if promised else "")
        + f"; content hash {version.content_hash}."
        + (f" {taken_out.n_rows:,} samples were taken out since its release." if taken_out else "")
    )


def _context() -> Node:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "sc": "https://schema.org/",
        **{term: f"cr:{term}" for term in _TERMS},
    }


def _file(path: Path, kind: str) -> Node:
    return _object(path.name, kind, hash_of(path), path.stat().st_size)


def _shard(shard: Shard, kind: str) -> Node:
    return _object(shard.name, kind, shard.sha256, shard.size_bytes)


def _object(name: str, kind: str, sha256: str, size_bytes: int) -> Node:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size_bytes} B",
        "encodingFormat": kind,
        "sha256": sha256,
    }


def _files(name: str, includes: Sequence[str], kinds: Sequence[str]) -> Node:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": list(kinds),
        "includes": list(includes),
    }


def _records(name: str, fields: Sequence[Node], *, key: str | None = None) -> Node:
    node: Node = {"@type": "cr:RecordSet", "@id": name, "name": name, "field": list(fields)}
    return node if key is None else {**node, "key": {"@id": key}}


def _field(records: str, name: str, kind: str, source: Node) -> Node:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": f"{records}/{name}",
        "dataType": kind,
        "source": source,
    }


def _fields(
    records: str, columns: "Iterable[pa.Field[pa.DataType]]", source: str, *, of: str = "fileObject"
) -> list[Node]:
    """The columns of a table, each as a field of its own."""
    return [
        _field(records, f.name, _TYPES[str(f.type)], _column(source, f.name, of=of))
        for f in columns
    ]


def _column(source: str, column: str, *, of: str = "fileObject") -> Node:
    return {of: {"@id": source}, "extract": {"column": column}}
