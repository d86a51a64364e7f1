"""The labelloop.toml of the demonstration: the same file as a user would write."""

import os
from pathlib import Path

from labelloop.demo.digits import CLASSES

EVALUATION_BUDGET = 70
LOW_CONFIDENCE_BUDGET = 60
FLAGGED_BUDGET = 15
MIN_CONFIDENCE = 0.95

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
blind_uri = "s3://{blind_bucket}"

[label_studio]
url = "{label_studio_url}"
api_key = "{api_key}"

[rounds]
every = "1 day"

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = {evaluation_budget}

[[queue]]
name = "low-confidence"
purpose = "training"
where = "confidence < 0.7"
budget = {low_confidence_budget}
show = ["confidence", "predicted_class"]

[[queue]]
name = "flagged"
purpose = "training"
where = "flagged or corrected_class is not null"
budget = {flagged_budget}
show = ["predicted_class", "confidence", "corrected_class"]

[training]
confidence = {min_confidence}
"""


def write(
    path: Path,
    *,
    bucket: str,
    blind_bucket: str,
    endpoint_url: str,
    access_key: str,
    secret_key: str,
    label_studio_url: str,
    api_key: str,
) -> None:
    """Write the file, readable by this user alone: it holds the keys of the local servers."""
    text = TEMPLATE.format(
        classes=", ".join(f'"{name}"' for name in CLASSES),
        bucket=bucket,
        blind_bucket=blind_bucket,
        endpoint_url=endpoint_url,
        access_key=access_key,
        secret_key=secret_key,
        label_studio_url=label_studio_url,
        api_key=api_key,
        evaluation_budget=EVALUATION_BUDGET,
        low_confidence_budget=LOW_CONFIDENCE_BUDGET,
        flagged_budget=FLAGGED_BUDGET,
        min_confidence=MIN_CONFIDENCE,
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
