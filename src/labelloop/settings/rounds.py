"""[rounds]: when samples are selected."""

from datetime import timedelta

from pydantic import Field

from labelloop.settings.values import Duration, Section


class RoundSettings(Section):
    """When samples are selected."""

    every: Duration = Field(timedelta(days=1), description="The time from one round to the next.")
    first_window: Duration = Field(
        timedelta(days=7), description="The first round skips predictions older than this."
    )
    feedback_horizon: Duration = Field(
        timedelta(days=2),
        description="How long after its upload the tags of an object are read again, for feedback and "
        "for tags that were rejected.",
    )
