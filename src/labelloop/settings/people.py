"""[people]: who decides where answers differ."""

from datetime import timedelta

from pydantic import Field, field_validator

from labelloop.settings.values import Duration, Section


class PeopleSettings(Section):
    """The people who answer."""

    referees: list[str] = Field(
        default_factory=list,
        description="E-mail addresses in Label Studio of the people whose second looks decide, best two or "
        "more. They give first answers too. Who is taken off the list keeps what they answered until then.",
    )

    backlog_after: Duration = Field(
        timedelta(days=7),
        description="When the oldest task of a queue has waited so long for a person, the event "
        "`backlog.old` is sent.",
    )

    @field_validator("referees")
    @classmethod
    def _each_once(cls, referees: list[str]) -> list[str]:
        for address in referees:
            name, _, host = address.partition("@")
            if not name or not host or address != address.strip():
                raise ValueError(f"referee {address!r}: expected an e-mail address")
        lowered = [address.lower() for address in referees]
        twice = sorted({address for address in lowered if lowered.count(address) > 1})
        if twice:
            raise ValueError(f"referee {twice[0]!r} is listed twice")
        return referees
