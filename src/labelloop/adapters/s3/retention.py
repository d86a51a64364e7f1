"""What the doctor asks of an S3 server: what a bucket's rules delete."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_RULES = "NoSuchLifecycleConfiguration"


def retention(client: "S3Client", bucket: str, key: str) -> timedelta | None:
    """After how long a rule of the bucket deletes what lies at or below `key`; None: no rule does.

    Rules that ask for tags, sizes or a date are left out: they speak of some objects, or of one day.
    """
    from botocore.exceptions import ClientError

    try:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") == NO_RULES:
            return None
        raise
    days = [d for rule in rules if (d := _days(rule, key)) is not None]
    return timedelta(days=min(days)) if days else None


def _days(rule: Mapping[str, object], key: str) -> int | None:
    expiration, narrowed = rule.get("Expiration"), rule.get("Filter")
    if rule.get("Status") != "Enabled" or not isinstance(expiration, Mapping):
        return None
    chosen = narrowed if isinstance(narrowed, Mapping) else {}
    if chosen.keys() - {"Prefix"}:
        return None
    prefix = str(chosen.get("Prefix", rule.get("Prefix", "")) or "")
    days = expiration.get("Days")
    # a rule on a folder inside of `key` deletes part of what lies below
    concerns = key.startswith(prefix) or prefix.startswith(key)
    return days if isinstance(days, int) and concerns else None
