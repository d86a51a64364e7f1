"""The steps as plain functions, for the tasks of an orchestrator: Airflow, Dagster, Prefect, a script.

Each takes the path of a labelloop.toml and returns what JSON knows. A task that was killed may call
its function again: nothing is drawn, sent or released twice. Nothing here imports an orchestrator.

>>> from labelloop import pipeline                                        # doctest: +SKIP
>>> pipeline.index("labelloop.toml")["n_new"]                             # doctest: +SKIP
4787
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labelloop.core.queue import Purpose
from labelloop.errors import LabelloopError
from labelloop.loop import Loop, open_loop
from labelloop.views.json_form import plain

Config = str | Path


class GateFailed(LabelloopError):
    """The model, or the candidate, doesn't pass its gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How many of the blind draws of the newest round have their answer, or never get one."""

    round: int
    n_drawn: int
    n_answered: int
    n_without: int

    @property
    def share(self) -> float:
        """The share that nobody has to wait for any more; 1 where nothing was drawn."""
        settled = self.n_answered + self.n_without
        return settled / self.n_drawn if self.n_drawn else 1.0


def index(config: Config) -> dict[str, Any]:
    """Add new predictions to the log."""
    return _done(config, "index")


def collect(config: Config) -> dict[str, Any]:
    """Fetch people's answers."""
    return _done(config, "collect")


def select(config: Config, *, now: bool = False) -> dict[str, Any]:
    """Draw a round if one is due. With `now`, one is drawn that isn't due: not for tasks that retry."""
    return _done(config, "select", now=now)


def send(config: Config) -> dict[str, Any]:
    """Send the drawn samples to people."""
    return _done(config, "send")


def notify(config: Config) -> dict[str, Any] | None:
    """Tell the receivers of `[[notify]]` what happened; None where there are none."""
    with open_loop(config) as loop:
        found: dict[str, Any] | None = plain(loop.do("notify"))
    return found


def measure(config: Config, *, gate: float | None = None) -> dict[str, Any]:
    """Estimate the accuracies, and keep them. With `gate`, the result's `gate` has the verdict.

    Raises:
        GateFailed: the model that serves isn't as accurate as `gate`.
    """
    with open_loop(config) as loop:
        found = loop.do("measure")
        if gate is not None:
            judged = loop.measure(gate=gate)
            if judged.gate is not None and judged.gate.verdict == "FAIL":
                raise GateFailed(
                    f"the model that serves fails the gate of {gate:g}",
                    remedy="see `labelloop report`; retrain on the newest training set",
                )
            found = judged
        return _plain(found)


def build(config: Config, name: str = "training") -> dict[str, Any]:
    """Release new dataset versions where their content changed; the newest version of `name`.

    The result has its name, version, content_hash, uri and counts, whether or not this call released
    it, and `accuracy`: that of the last seven days' traffic, with its interval. So a task that was
    killed after the release tells the same when it runs again. An empty result: there is none yet.
    """
    with open_loop(config) as loop:
        loop.do("build")
        return _newest(loop, name)


def newest(config: Config, name: str = "training") -> dict[str, Any]:
    """The newest version of a dataset, as `build` tells it; nothing is written."""
    with open_loop(config) as loop:
        return _newest(loop, name)


def compare(
    config: Config,
    candidate: Config,
    *,
    min_gain: float = 0.0,
    trained_on: Sequence[tuple[str, int]] = (),
    promote: tuple[str, int] | None = None,
) -> dict[str, Any]:
    """Judge a candidate's predictions by the blind labels; `verdict` is PASS, FAIL or NOT YET.

    The verdict holds at every look: ask as often as labels come. `promote` names the registered model
    in MLflow, and its version, that the candidate is: on PASS it gets the alias of `[mlflow]`.
    """
    with open_loop(config) as loop:
        compared = loop.compare(
            Path(candidate), min_gain=min_gain, trained_on=list(trained_on), gate=True
        )
        if promote is not None:
            loop.promote(compared, *promote)
        return _plain(compared)


def write_judges(config: Config, target: Config) -> int:
    """Write a CSV file of the samples that a candidate must predict; how many there are."""
    with open_loop(config) as loop:
        return loop.write_judges(Path(target))


def answers(config: Config) -> Answers:
    """How far the newest round is answered. The ledger is opened read-only; `collect` fills it.

    Raises:
        LedgerError: it can't be read.
    """
    from labelloop.ledger import rounds

    with open_loop(config) as loop, loop.project.ledger_to_read.read() as tx:
        latest = rounds.latest(tx)
        if latest is None:
            return Answers(round=0, n_drawn=0, n_answered=0, n_without=0)
        blind = [a for a in rounds.answered(tx, latest.round) if a.purpose is Purpose.EVALUATION]
    return Answers(
        round=latest.round,
        n_drawn=sum(a.n_drawn for a in blind),
        n_answered=sum(a.n_labelled for a in blind),
        n_without=sum(a.n_without for a in blind),
    )


def _done(config: Config, verb: str, *, now: bool = False) -> dict[str, Any]:
    with open_loop(config) as loop:
        return _plain(loop.do(verb, now=now))


def _plain(result: object) -> dict[str, Any]:
    found: dict[str, Any] = plain(result)
    return found


def _newest(loop: Loop, name: str) -> dict[str, Any]:
    versions = [version for version in loop.datasets() if version.name == name]
    if not versions:
        return {}
    last = max(versions, key=lambda version: version.version)
    return _plain(asdict(last)) | {"accuracy": plain(loop.measure().last_seven_days.estimate)}
