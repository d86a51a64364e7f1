"""The formats by name, and what each can hold."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from labelloop.core.dataset import DatasetVersion
from labelloop.errors import DatasetError
from labelloop.exports import (
    bucket,
    croissant,
    csv_file,
    huggingface,
    imagefolder,
    jsonl_file,
    manifest,
    webdataset,
)
from labelloop.exports.exported import Exported
from labelloop.exports.imagefolder import FolderKind, Folders
from labelloop.exports.target import CLASS_NUMBERS, write_numbers, writing
from labelloop.ports.clock import Progress
from labelloop.ports.store import Store

FILES = {"csv": ".csv", "jsonl": ".jsonl"}
"""The formats that are one file, with its ending; the others are folders."""
NAMES = ("csv", "huggingface", "imagefolder", "jsonl", "webdataset")
_KINDS = {"csv": "text/csv", "jsonl": "application/jsonlines"}


def export(
    versions: Sequence[DatasetVersion],
    to: str,
    target: Path | str,
    *,
    store: Callable[[], Store],
    classes: Sequence[str],
    others: Sequence[str] = (),
    folder_kind: FolderKind = "names",
    earlier: Sequence[Path] = (),
    link: bool = True,
    remove_old: bool = False,
    progress: Progress,
) -> Exported:
    """Write one version to `target`; as "huggingface" several, each a split of its own.

    A target that is text is the s3:// uri of an imagefolder on the store's server, from `export_target`.

    classes, others
        the model's classes in the order of the settings: their places are their numbers; what else
        people answered follows, always in the same order, and what only the versions know comes last
    folder_kind
        imagefolder: folders named as the classes, or by their numbers (`class_06`)
    store
        opens the store; a format without images doesn't ask for it
    earlier, link
        folders that hold earlier imagefolder exports, and whether to link files that lie on this
        machine
    remove_old
        in a bucket: remove the images of earlier versions that this one doesn't hold

    Raises:
        DatasetError: a format or target that can't hold this, a version that can't be read.
        StoreError: the store can't be read.
    """
    if to not in NAMES:
        raise DatasetError(f"no format {to!r}", remedy=f"there are {', '.join(NAMES)}")
    for version in versions:
        manifest.check(version)
    version = versions[0]
    if len(versions) > 1:
        _check_splits(versions, to)
    has_text = "text" in manifest.schema(version).names
    if has_text and to in {"imagefolder", "webdataset"}:
        raise DatasetError(
            f"{version.name} v{version.version} contains texts, and {to} is a format for images",
            remedy="export it with --to csv, jsonl or huggingface",
        )
    known = list(dict.fromkeys([*classes, *others]))
    known += sorted({x for v in versions for x in manifest.labels(v)} - {*known})
    folders = partial(Folders.of, version, known, folder_kind, always=classes)
    if isinstance(target, str):
        done = bucket.export(
            version, target, store(), folders(), remove_old=remove_old, progress=progress
        )
    elif to == "csv":
        done = csv_file.export(version, target, progress)
    elif to == "jsonl":
        done = jsonl_file.export(version, target, progress)
    elif to == "imagefolder":
        done = imagefolder.export(
            version, target, store(), folders(), earlier=earlier, link=link, progress=progress
        )
    elif to == "webdataset":
        done = webdataset.export(version, target, store(), classes=known, progress=progress)
    else:
        opened = None if has_text else store()
        done = huggingface.export(versions, target, opened, classes=known, progress=progress)
    if to in FILES and isinstance(target, Path):
        with writing(target):
            croissant.describe_table(target, version, _KINDS[to], manifest.schema(version))
            write_numbers(target.with_name(f"{target.stem}.{CLASS_NUMBERS}"), known)
    taken_out = (manifest.redaction(version) for version in versions)
    return replace(done, redacted=tuple(r for r in taken_out if r is not None))


def export_target(
    target: str | Path, to: str, *, inputs: Sequence[str], apart_from: Sequence[str]
) -> Path | str:
    """Where an export goes: a path, or an s3:// uri below which a server copies.

    inputs, apart_from
        the places that are listed, and those that hold labelloop's own: an export may lie in none of
        them

    Raises:
        DatasetError: nothing can be written there.
    """
    text = str(target)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if isinstance(target, Path) or scheme is None or scheme[1].lower() == "file":
        if isinstance(target, Path) and scheme is not None:
            raise DatasetError(f"{text} isn't a path", remedy="give an s3:// uri as text")
        is_uri = scheme is not None
        return Path(unquote(text.removeprefix("file://")) if is_uri else text).resolve()
    if scheme[1].lower() != "s3" or not re.match(r"s3://[^/]", text):
        raise DatasetError(
            f"labelloop can't write an export to {text}",
            remedy="choose a folder, or s3://BUCKET/PREFIX on the server of the inputs; other tools "
            "can copy the folder elsewhere",
        )
    if to != "imagefolder":
        raise DatasetError(
            f"labelloop can't write {to} to a bucket: {text}",
            remedy="export to a folder and upload it, or choose --to imagefolder",
        )
    if inputs[0].startswith("file:"):
        raise DatasetError(
            f"labelloop can't write to {text}, because the inputs are in a folder: only an S3 "
            "server can copy its own objects there",
            remedy="export to a folder, and upload it",
        )
    for place in (*inputs, *apart_from):
        own, other = f"{text.rstrip('/')}/", f"{place.rstrip('/')}/"
        if own.startswith(other) or other.startswith(own):
            raise DatasetError(
                f"{text} and {place} overlap, so the exported copies would be taken for new inputs, "
                "or be deleted",
                remedy="choose another bucket, or a prefix outside of [store] uri and prefixes",
            )
    return text


def _check_splits(versions: Sequence[DatasetVersion], to: str) -> None:
    """Refuse versions that can't stand beside each other in one export."""
    if to != "huggingface":
        raise DatasetError(
            f"an export {to} holds only one version",
            remedy="export each version by itself, or use --to huggingface",
        )
    names = [v.name for v in versions]
    if len(set(names)) < len(names):
        raise DatasetError(
            f"{names[0]} is named twice", remedy="name a training and an evaluation version"
        )
    shared = manifest.shared(*versions)
    if shared:
        a, b = (f"{v.name} v{v.version}" for v in versions)
        raise DatasetError(
            f"{a} and {b} share samples or byte-identical copies, such as {shared!r}: a model "
            "looks better than it is if it is evaluated on its training samples",
            remedy="run `labelloop build`, then export the newest version of both",
        )
