"""[[notify]]: who hears of events."""

from difflib import get_close_matches
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from labelloop.core.notice import NAMES
from labelloop.settings.values import Section


def web_address(url: SecretStr) -> SecretStr:
    """The URL of a receiver, if it can be one."""
    try:
        found = urlsplit(url.get_secret_value())
        _ = found.port
    except ValueError:
        found = urlsplit("")
    if found.scheme not in {"http", "https"} or not found.hostname:
        raise ValueError("expected a URL that begins with http:// or https://")
    if "@" in found.netloc:
        raise ValueError("it holds a user or a password: give the receiver a secret instead")
    return url


class NotifySettings(Section):
    """A program that hears of events, each by one POST."""

    url: Annotated[SecretStr, AfterValidator(web_address)] = Field(
        description="Where it listens. Messages show its host alone."
    )
    on: list[str] = Field(
        min_length=1,
        description=f"The events that it hears of: {', '.join(f'`{name}`' for name in NAMES)}.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=8,
        description="The key of the signature in `webhook-signature`, as plain text or as `whsec_` and "
        "base64. Default: nothing is signed.",
    )
    form: Literal["json", "slack", "airflow"] = Field(
        "json",
        description="`json`: all that is known of the event. `slack`: a sentence, for an incoming webhook "
        "of Slack, or of what takes the same. `airflow`: an event of the asset "
        "`labelloop://PROJECT/DATASET`, in an Airflow 3 whose API server is at `url`; `secret` is then "
        "USER:PASSWORD or a token.",
    )

    @model_validator(mode="after")
    def _airflow_takes_a_secret(self) -> Self:
        if self.form == "airflow" and self.secret is None:
            raise ValueError('form = "airflow" needs a secret: USER:PASSWORD, or a token')
        return self

    @field_validator("on")
    @classmethod
    def _events_are_known(cls, on: list[str]) -> list[str]:
        for name in on:
            if name not in NAMES:
                near = get_close_matches(name, NAMES, n=1, cutoff=0.5)
                hint = f"do you mean {near[0]!r}? " if near else ""
                raise ValueError(f"event {name!r}: {hint}expected some of {', '.join(NAMES)}")
        return on
