"""A receiver that is told by an HTTP POST, signed as Standard Webhooks says."""

import base64
import binascii
import hmac
import json
from datetime import datetime
from hashlib import sha256
from typing import Literal

from labelloop.adapters.receivers.exchange import TIMEOUT_S, exchange, masked
from labelloop.core.notice import Notice
from labelloop.errors import ReceiverError

Form = Literal["json", "slack"]


class HttpReceiver:
    """A program that listens at a URL.

    A notice is one POST. The header `webhook-id` is the notice's id, `webhook-timestamp` the time of
    sending in seconds, and with a secret `webhook-signature` is `v1,` and the base64 of the
    HMAC-SHA256 over `id.timestamp.body`: https://www.standardwebhooks.com. A secret that begins with
    `whsec_` is base64 behind that, as there.
    """

    def __init__(
        self,
        url: str,
        *,
        project: str,
        secret: str | None = None,
        form: Form = "json",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._project = project
        self._key = None if secret is None else signing_key(secret)
        self._form = form
        self._timeout_s = timeout_s
        self.shown = masked(url)

    def deliver(self, notice: Notice, *, at: datetime) -> None:
        """Tell it of one event.

        Raises:
            ReceiverError: it can't be reached, is too slow, or answers other than 2xx.
        """
        body = self._body(notice)
        sent_at = str(int(at.timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "labelloop",
            "webhook-id": notice.id,
            "webhook-timestamp": sent_at,
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, notice.id, sent_at, body)
        status = exchange(
            "POST", self._url, headers=headers, content=body, timeout_s=self._timeout_s
        ).status
        if not 200 <= status < 300:
            raise ReceiverError(
                f"{self.shown} answered {status}: expected 200 to 299",
                remedy="see what the receiver logged; `labelloop notify --test` tries it",
            )

    def _body(self, notice: Notice) -> bytes:
        if self._form == "slack":
            # what < and & open in Slack's text: https://api.slack.com/reference/surfaces/formatting
            said = f"{self._project}: {notice.says}"
            for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                said = said.replace(character, name)
            return json.dumps({"text": said}).encode()
        return json.dumps(notice.body(self._project)).encode()


def signing_key(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ValueError: it begins with whsec_, and what follows isn't base64.

    >>> signing_key("whsec_MfKQ"), signing_key("plain")
    (b'1\\xf2\\x90', b'plain')
    """
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as exc:
        raise ValueError(
            f"the secret begins with whsec_, and isn't base64 behind it: {exc}"
        ) from exc


def signature(key: bytes, message_id: str, sent_at: str, body: bytes) -> str:
    """What `webhook-signature` says.

    >>> signature(b"key", "e1", "1700000000", b"{}")
    'v1,IGM1vxRv2OeQukGR3TshPonayLTj7WmahG0OIk+usIg='
    """
    signed = f"{message_id}.{sent_at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
