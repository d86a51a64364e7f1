"""For Airflow 3: a sensor that waits for people without holding a worker. Only DAGs import this."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent

from labelloop import pipeline


class AnswersSensor(BaseSensorOperator):  # type: ignore[misc]  # Airflow lies in an environment of its own
    """Waits until a share of the newest round's blind draws is answered.

    It defers to the triggerer, which opens the ledger read-only and asks nobody else. Something must
    collect meanwhile: a DAG that runs `pipeline.collect`, or `labelloop serve`.
    """

    template_fields = ("config",)

    def __init__(self, *, config: str, share: float = 0.9, **more: Any) -> None:
        """`share` is in (0, 1]; other arguments are those of every sensor, such as `timeout`."""
        super().__init__(**more)
        self.config = config
        self.share = share

    def execute(self, context: Context) -> None:  # noqa: ARG002  Airflow calls it so
        """Return at once if the answers are there, else defer."""
        if pipeline.answers(self.config).share < self.share:
            self.defer(
                trigger=AnswersTrigger(
                    config=self.config, share=self.share, every_s=self.poke_interval
                ),
                method_name="resume",
                timeout=None,
            )

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  as above
        """Return how far the round is answered."""
        return event


class AnswersTrigger(BaseTrigger):  # type: ignore[misc]  # as above
    """Looks into the ledger every `every_s` seconds until enough is answered."""

    def __init__(self, *, config: str, share: float, every_s: float) -> None:
        super().__init__()
        self._config, self._share, self._every_s = config, share, every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make it anew."""
        told = {"config": self._config, "share": self._share, "every_s": self._every_s}
        return f"{__name__}.AnswersTrigger", told

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield once, when enough is answered."""
        while True:
            found = await asyncio.to_thread(pipeline.answers, self._config)
            if found.share >= self._share:
                yield TriggerEvent(
                    {
                        "round": found.round,
                        "n_drawn": found.n_drawn,
                        "n_answered": found.n_answered,
                    }
                )
                return
            await asyncio.sleep(self._every_s)
