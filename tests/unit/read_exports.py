"""Reads exports with the libraries they are for, in a process of its own; prints JSON.

python read_exports.py FOLDER, which holds hf, hf-text, wds, images, csv/t.croissant.json and so on.
"""

import json
import sys
from pathlib import Path
from typing import Any


def huggingface(folder: Path, cache: Path) -> dict[str, Any]:
    import datasets

    loaded = datasets.load_dataset(str(folder), cache_dir=str(cache))
    return {
        split: {
            "kinds": {k: type(v).__name__ for k, v in found.features.items()},
            "classes": found.features["label"].names,
            "rows": [
                {k: list(v.size) if k == "image" else v for k, v in row.items()} for row in found
            ],
        }
        for split, found in loaded.items()
    }


def webdataset(folder: Path) -> list[dict[str, Any]]:
    import webdataset as wds

    urls = sorted(str(path) for path in folder.glob("*.tar"))
    samples = wds.WebDataset(urls, shardshuffle=False).decode("pil")
    return [
        {"key": s["__key__"], "size": list(s["png"].size), "cls": s["cls"], "row": s["json"]}
        for s in samples
    ]


def croissant(path: Path) -> dict[str, Any]:
    import mlcroissant

    described = mlcroissant.Dataset(jsonld=path)
    metadata = described.metadata
    return {
        "errors": sorted(metadata.ctx.issues.errors),
        "warnings": sorted(metadata.ctx.issues.warnings),
        "name": metadata.name,
        "records": {
            records.uuid: [
                {k.split("/")[1]: plain(v) for k, v in record.items()}
                for record in described.records(records.uuid)
            ]
            for records in metadata.record_sets
        },
    }


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "size") and hasattr(value, "mode"):
        return list(value.size)
    if hasattr(value, "item"):
        value = value.item()
    return None if value != value else value


def main(folder: Path) -> None:
    sys.stdout.write(
        json.dumps(
            {
                "huggingface": huggingface(folder / "hf", folder / "cache"),
                "text": huggingface(folder / "hf-text", folder / "cache"),
                "webdataset": webdataset(folder / "wds"),
                "croissant": {
                    str(path.relative_to(folder).parent): croissant(path)
                    for path in sorted(folder.glob("*/*croissant.json"))
                },
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
