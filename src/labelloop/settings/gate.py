"""[gate]: what `run` requires of the model that serves."""

from pydantic import Field

from labelloop.settings.values import Section


class GateSettings(Section):
    """What `run` requires of the model that serves. `labelloop measure --gate` asks for any number."""

    accuracy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The accuracy that the model must exceed. `run` says whether it does, and once the "
        "labels so far say that it doesn't, sends the event `gate.failed`. Default: none.",
    )
