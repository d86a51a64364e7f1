"""What the libraries underneath write to their logs, without what is secret in it."""

import logging
import re

_LOGGERS = (
    "httpx",
    "httpcore.http11",
    "httpcore.http2",
    "botocore.auth",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.parsers",
    "botocore.regions",
    "urllib3.connectionpool",
)
_SECRETS = (
    # of signed links, and of signatures in headers
    re.compile(r"(X-Amz-(?:Signature|Credential)=)[^&\s'\"]+", re.IGNORECASE),
    re.compile(r"((?:Signature|Credential)=)[^,\s'\"]+"),
    re.compile(r"(Signature:\s+)[0-9a-f]{64}"),
    # session tokens, as a header, in what is signed, and in links
    re.compile(r"(X-Amz-Security-Token(?:=|:|['\"]:)\s*(?:b?['\"])?)[^&\s'\"]+", re.IGNORECASE),
    # Label Studio's cookies
    re.compile(r"(Set-Cookie['\"]?[:,]\s*b?['\"])[^'\"]+", re.IGNORECASE),
    re.compile(r"(://[^/@\s:]*:)[^/@\s]+(?=@)"),
)


def redacted(text: str) -> str:
    """`text` with stars in place of tokens, signatures and passwords.

    >>> redacted("GET http://127.0.0.1/a.png?X-Amz-Expires=60&X-Amz-Signature=0d3f")
    'GET http://127.0.0.1/a.png?X-Amz-Expires=60&X-Amz-Signature=***'
    """
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        safe = redacted(said)
        if safe != said:
            record.msg, record.args = safe, ()
        return True


_REDACTION = _Redaction()


def redact_logs() -> None:
    """Take what is secret out of the logs of httpx and botocore, whoever switches them on; idempotent."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_REDACTION)
