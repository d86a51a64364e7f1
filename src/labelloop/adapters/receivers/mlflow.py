"""A receiver that is an MLflow tracking server: datasets, accuracies and promotions, by its REST API."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from labelloop.adapters.receivers.exchange import TIMEOUT_S, Answer, exchange, masked
from labelloop.core.notice import Notice
from labelloop.errors import ReceiverError

KEY = "labelloop.key"
"""The tag by which a run is found again: what it is about, as a digest that needs no quotes."""
PROXIED = "mlflow-artifacts:"


class MlflowReceiver:
    """A tracking server of MLflow 3.

    A dataset version is a run of its own, with the version as its dataset input. A model version is a
    run too, which gets the metrics `accuracy`, `accuracy_low`, `accuracy_high` and `accuracy_labels`
    again and again: its history. Both hold the report. A promotion sets an alias.

    Each may be told twice: runs are found by a tag, and the same metric of the same time is one.
    """

    def __init__(
        self,
        url: str,
        *,
        project: str,
        experiment: str,
        alias: str,
        secret: str | None = None,
        report: Callable[[], bytes | None] = lambda: None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """More of it:

        secret
            USER:PASSWORD, or a token
        report
            the newest report as a page; None: there is none yet
        """
        self._url = url.rstrip("/")
        self._project, self._experiment, self._alias = project, experiment, alias
        self._report = report
        self._timeout_s = timeout_s
        self._headers = {"user-agent": "labelloop"}
        if secret is not None and ":" in secret:
            pair = base64.b64encode(secret.encode()).decode()
            self._headers["authorization"] = f"Basic {pair}"
        elif secret is not None:
            self._headers["authorization"] = f"Bearer {secret}"
        self.shown = masked(url)

    def deliver(self, notice: Notice, *, at: datetime) -> None:  # noqa: ARG002  the notice tells its time
        """Write one event.

        Raises:
            ReceiverError: the server can't be reached, refuses, or doesn't answer as it should.
        """
        if notice.name == "candidate.promoted":
            self._promote(notice.data)
            return
        experiment = self._experiment_id()
        if notice.name == "dataset.built":
            self._log_dataset(experiment, notice)
        elif notice.name == "accuracy.measured":
            self._log_accuracy(experiment, notice)

    def _log_dataset(self, experiment: str, notice: Notice) -> None:
        d = notice.data
        run = self._run(experiment, f"{d['dataset']} v{d['version']}", notice)
        given = {
            "name": f"{self._project}/{d['dataset']} v{d['version']}",
            "digest": str(d["content_hash"])[:36],
            "source_type": "local",
            "source": json.dumps({"uri": d["uri"]}),
            "profile": json.dumps({"num_rows": d["n_human"] + d["n_model"]}),
        }
        context = [{"key": "mlflow.data.context", "value": str(d["dataset"])}]
        self._post(
            "runs/log-inputs",
            {"run_id": run["run_id"], "datasets": [{"dataset": given, "tags": context}]},
        )
        self._log(run, notice, {"labels_human": d["n_human"], "labels_model": d["n_model"]})
        self._store_report(run)

    def _log_accuracy(self, experiment: str, notice: Notice) -> None:
        d = notice.data
        run = self._run(experiment, f"model {d['model']}", notice)
        told = {
            "accuracy": d["value"],
            "accuracy_low": d["low"],
            "accuracy_high": d["high"],
            "accuracy_labels": d["n"],
        }
        self._log(run, notice, told)
        self._store_report(run)

    def _promote(self, data: Mapping[str, Any]) -> None:
        version = {"name": data["registered"], "version": str(data["version"])}
        says = f"gain {data['low']:+.4f} to {data['high']:+.4f} over {data['serving']}, PASS"
        self._post("model-versions/set-tag", {**version, "key": "labelloop.compare", "value": says})
        self._post("registered-models/alias", {**version, "alias": self._alias})

    def _experiment_id(self) -> str:
        name = self._experiment
        path = f"experiments/get-by-name?experiment_name={quote(name, safe='')}"
        answer = self._ask("GET", path)
        if answer.status == 404:
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        return str(self._object(answer, path)["experiment"]["experiment_id"])

    def _run(self, experiment: str, about: str, notice: Notice) -> dict[str, Any]:
        """The run about something: found, or made."""
        key = sha256(json.dumps([self._project, about]).encode()).hexdigest()
        asked = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{KEY}` = '{key}'",
            "max_results": 1,
        }
        found = self._post("runs/search", asked).get("runs")
        if not found:
            tags = {KEY: key, "labelloop.project": self._project, "mlflow.source.name": "labelloop"}
            made = {
                "experiment_id": experiment,
                "run_name": f"{self._project}: {about}",
                "start_time": _ms(notice),
                "tags": [{"key": name, "value": value} for name, value in tags.items()],
            }
            found = [self._post("runs/create", made)["run"]]
        info: dict[str, Any] = found[0]["info"]
        return info

    def _log(
        self, run: Mapping[str, Any], notice: Notice, metrics: Mapping[str, float | int]
    ) -> None:
        told = [
            {"key": name, "value": value, "timestamp": _ms(notice), "step": 0}
            for name, value in metrics.items()
        ]
        self._post("runs/log-batch", {"run_id": run["run_id"], "metrics": told})
        ended = {"run_id": run["run_id"], "status": "FINISHED", "end_time": _ms(notice)}
        self._post("runs/update", ended)

    def _store_report(self, run: Mapping[str, Any]) -> None:
        """Put the report beside the run, if the server itself keeps artifacts."""
        root = str(run.get("artifact_uri", ""))
        page = self._report() if root.startswith(PROXIED) else None
        if page is not None:
            place = root.removeprefix(PROXIED).strip("/")
            path = f"/api/2.0/mlflow-artifacts/artifacts/{quote(place)}/report.html"
            answer = self._exchange("PUT", path, page, "text/html")
            if not 200 <= answer.status < 300:
                raise self._refused(answer, path)

    def _post(self, path: str, told: Mapping[str, Any]) -> dict[str, Any]:
        return self._object(self._ask("POST", path, told), path)

    def _ask(self, method: str, path: str, told: Mapping[str, Any] | None = None) -> Answer:
        body = b"" if told is None else json.dumps(told).encode()
        return self._exchange(method, f"/api/2.0/mlflow/{path}", body, "application/json")

    def _exchange(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        return exchange(
            method,
            f"{self._url}{path}",
            headers={**self._headers, "content-type": kind},
            content=body,
            timeout_s=self._timeout_s,
            read=True,
        )

    def _object(self, answer: Answer, path: str) -> dict[str, Any]:
        try:
            held = json.loads(answer.body)
        except ValueError:
            held = None
        if not 200 <= answer.status < 300 or not isinstance(held, dict):
            code = held.get("error_code", "") if isinstance(held, dict) else "no JSON object"
            raise self._refused(answer, path, f": {code}")
        return held

    def _refused(self, answer: Answer, path: str, more: str = "") -> ReceiverError:
        return ReceiverError(
            f"{self.shown} answered {answer.status} to {path.partition('?')[0]}{more}",
            remedy="[mlflow] url must be that of an MLflow tracking server, and its secret that of a "
            "user who may write to the experiment",
        )


def _ms(notice: Notice) -> int:
    return int(notice.at.timestamp() * 1000)
