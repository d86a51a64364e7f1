"""[service]: when `labelloop serve` works, where it answers, and to whom."""

import re
from datetime import time, timedelta
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from labelloop.core.loopback import is_loopback
from labelloop.settings.values import Duration, Section, WebAddress

SCOPES = ("read", "operate", "label")
Scope = Literal["read", "operate", "label"]


def hours(text: str) -> tuple[time, time]:
    """The two times of a day that `text` names.

    Raises:
        ValueError: it names none, or the same twice.

    >>> hours("22:00-06:00")
    (datetime.time(22, 0), datetime.time(6, 0))
    """
    found = re.fullmatch(r"\s*(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s*", text)
    try:
        assert found  # noqa: S101  turned into the error below
        begin, end = time.fromisoformat(found[1]), time.fromisoformat(found[2])
    except (AssertionError, ValueError):
        raise ValueError("expected two times of a day, such as '22:00-06:00'") from None
    if begin == end:
        raise ValueError("begins and ends at the same time: leave it out")
    return begin, end


def _hours(text: str) -> str:
    hours(text)
    return text


class AuthSettings(Section):
    """Who may use the service through a proxy that names users."""

    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="The addresses or networks of the proxies whose `user_header` is believed.",
    )
    user_header: str = Field(
        "X-Forwarded-User",
        pattern=r"^[A-Za-z0-9-]+$",
        description="The header in which a trusted proxy names the user.",
    )
    users: dict[str, list[Scope]] = Field(
        default_factory=dict,
        description="The scopes of each user that a trusted proxy may name: `read` (numbers), `operate` "
        "(samples too, and actions), `label`. Who isn't listed has none.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: list[str]) -> list[str]:
        for each in proxies:
            try:
                ip_network(each)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies {each!r}: expected an address or a network, such as 10.0.0.0/8"
                ) from None
        return proxies

    @model_validator(mode="after")
    def _a_proxy_names_them(self) -> "AuthSettings":
        if self.users and not self.trusted_proxies:
            raise ValueError(
                "users are named by a proxy, and trusted_proxies is empty: add the proxy's address"
            )
        return self


class ServiceSettings(Section):
    """When `labelloop serve` works, where it answers, and to whom."""

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen at.")
    port: int = Field(8500, ge=0, le=65535, description="The port to listen at.")
    public_url: WebAddress | None = Field(
        None,
        description="The URL by which people, Label Studio and buckets reach the service, if a proxy stands "
        "before it. It needs tokens, or [service.auth].",
    )
    run_every: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(seconds=1),
        description="How often the six steps are done. Rounds follow [rounds] `every`.",
    )
    quiet_hours: Annotated[str, AfterValidator(_hours)] | None = Field(
        None,
        description="From when to when no new task is sent to people, in the project's timezone, such as "
        "`22:00-06:00`. Predictions and answers are read and links are renewed all the same.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="What a bucket sends as `Authorization: Bearer SECRET` to /webhooks/s3. It is needed "
        "once anybody has an account.",
    )
    x_accel: str | None = Field(
        None,
        pattern=r"^/([a-z0-9_-]+/)+$",
        description="The internal location of an nginx that sends the images of a folder by itself, such as "
        '`"/labelloop-images/"`; deploy/nginx.conf shows it. It needs trusted_proxies: only these learn '
        "where an image lies.",
    )
    log: Literal["text", "json"] = Field(
        "text", description="The form of the lines that the service writes to standard error."
    )
    auth: AuthSettings = Field(default_factory=lambda: AuthSettings())

    @model_validator(mode="after")
    def _a_proxy_sends_images(self) -> "ServiceSettings":
        if self.x_accel and not self.auth.trusted_proxies:
            raise ValueError(
                "x_accel tells a proxy where images lie, and [service.auth] trusted_proxies is empty: "
                "add the address of nginx"
            )
        return self

    @property
    def base_url(self) -> str | None:
        """Where browsers reach the service; None if the settings don't say."""
        if self.public_url is not None:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        url = f"http://{host}:{self.port}"
        return url if self.port and is_loopback(url) else None
