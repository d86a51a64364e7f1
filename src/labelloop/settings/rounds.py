"""[rounds]: when samples are selected."""

from datetime import timedelta

from pydantic import Field

from labelloop.settings.values import Duration, Section


class RoundSettings(Section):
    """When samples are selected."""

    every: Duration = Field(
        timedelta(days=1), description="A round is due when this has passed since the last."
    )
    first_window: Duration = Field(
        timedelta(days=7), description="The first round skips predictions older than this."
    )
    feedback_horizon: Duration = Field(
        timedelta(days=2),
        description="How long after its upload an object's tags are read again: for feedback, and for "
        "tags that couldn't be read.",
    )
