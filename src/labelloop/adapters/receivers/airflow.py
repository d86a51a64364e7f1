"""A receiver that is Airflow 3: an event of labelloop becomes an event of an asset, by REST."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from labelloop.adapters.receivers.exchange import TIMEOUT_S, exchange, masked
from labelloop.core.notice import Notice
from labelloop.errors import ReceiverError


class AirflowReceiver:
    """Airflow's API server.

    An event about the dataset `training` of the project `food` is one of the asset
    `labelloop://food/training`; any other, such as `accuracy.fallen`, one of
    `labelloop://food/accuracy.fallen`. Airflow knows an asset once a DAG names it; an event of an asset
    that no DAG names reaches nobody.
    """

    def __init__(
        self, url: str, *, project: str, secret: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`secret`: USER:PASSWORD, which Airflow's auth manager takes at /auth/token, or a token."""
        self._url = url.rstrip("/")
        self._project = project
        self._secret = secret
        self._timeout_s = timeout_s
        self.shown = masked(url)

    def deliver(self, notice: Notice, *, at: datetime) -> None:  # noqa: ARG002  Airflow has its own clock
        """Make it an event of its asset; it has the notice's id, so that a second one can be told.

        Raises:
            ReceiverError: Airflow can't be reached, refuses, or doesn't answer as it should.
        """
        token = self._token()
        about = notice.data.get("dataset", notice.name)
        uri = f"labelloop://{self._project}/{about}"
        found = self._ask("GET", f"/api/v2/assets?uri_pattern={quote(uri, safe='')}", token)
        known = [a["id"] for a in found.get("assets", ()) if a.get("uri") == uri]
        if known:
            told = {"asset_id": known[0], "extra": notice.body(self._project)}
            self._ask("POST", "/api/v2/assets/events", token, told)

    def _token(self) -> str:
        user, colon, password = self._secret.partition(":")
        if not colon:
            return self._secret
        given = self._ask("POST", "/auth/token", None, {"username": user, "password": password})
        return str(given.get("access_token", ""))

    def _ask(
        self, method: str, path: str, token: str | None, told: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        headers = {"content-type": "application/json", "user-agent": "labelloop"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        answer = exchange(
            method,
            f"{self._url}{path}",
            headers=headers,
            content=b"" if told is None else json.dumps(told).encode(),
            timeout_s=self._timeout_s,
            read=True,
        )
        if not 200 <= answer.status < 300:
            raise ReceiverError(
                f"{self.shown} answered {answer.status} to {method} {path.partition('?')[0]}",
                remedy="the secret of this [[notify]] must be USER:PASSWORD or a token of an Airflow 3 "
                "user who may create asset events",
            )
        try:
            held = json.loads(answer.body)
        except ValueError:
            held = None
        if not isinstance(held, dict):
            raise ReceiverError(
                f"{self.shown} answered {method} {path.partition('?')[0]} with no JSON object",
                remedy="set the url of this [[notify]] to that of Airflow's API server, without /api/v2",
            )
        return held
