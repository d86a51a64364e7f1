"""The labelloop.toml of the demonstration: the same file as a user would write."""

import os
from collections.abc import Sequence
from pathlib import Path

from labelloop.adapters.s3.access import S3Access
from labelloop.demo.digits import CLASSES

FIRST_BUDGET, LATER_BUDGET = 150, 45
"""Blind labels on the first day, which half of them can give a guarantee on, and on each later one."""

BUCKET, BLIND_BUCKET = "production", "labelloop-blind"

TEMPLATE = """\
# Written by `labelloop demo`. The servers that it names run while the demonstration does.

[project]
name = "digits"
classes = [{classes}]

[store]
uri = "s3://{bucket}"
endpoint_url = "{endpoint_url}"
access_key = "{access_key}"
secret_key = "{secret_key}"
{annotator}

[rounds]
every = "1 day"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = {budget}
second_look = true

[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.3"
budget = 25
show = ["confidence", "predicted_class"]

[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
budget = 5
show = ["predicted_class", "confidence", "corrected_class"]

[people]
referees = [{referees}]

[training]
confidence = 0.4
"""


LABEL_STUDIO = """\
blind_uri = "s3://{blind_bucket}"

[label_studio]
url = "{url}"
api_key = "{api_key}"
"""
PAGE = """
[labelling_page]
"""


def write(
    path: Path,
    *,
    store: S3Access,
    label_studio: tuple[str, str] | None,
    referees: Sequence[str],
    budget: int = FIRST_BUDGET,
) -> None:
    """Write the file, readable by this user alone: it holds the keys of the local servers.

    label_studio
        its URL and a token; None: people label on the labelling page
    """
    text = TEMPLATE.format(
        classes=", ".join(f'"{name}"' for name in CLASSES),
        bucket=BUCKET,
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
        annotator=PAGE if label_studio is None else _label_studio(*label_studio),
        budget=budget,
        referees=", ".join(f'"{email}"' for email in referees),
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _label_studio(url: str, api_key: str) -> str:
    return LABEL_STUDIO.format(blind_bucket=BLIND_BUCKET, url=url, api_key=api_key)
