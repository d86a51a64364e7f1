"""[label_studio]: where people label."""

import re
from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from labelloop.settings.values import Duration, Section, WebAddress, when_complete


class LabelStudioSettings(Section):
    """Where people label."""

    url: WebAddress = Field(description="Label Studio, as labelloop reaches it.")
    public_url: WebAddress | None = Field(
        None, description="Label Studio as people open it, if that differs."
    )
    api_key: SecretStr = Field(
        description="A personal access token or a legacy token, told apart by its form."
    )
    ca_file: Path | None = Field(None, description="A CA bundle, for a server with its own CA.")
    proxy: SecretStr | None = Field(
        None, description="An HTTP proxy to the server; else what `HTTPS_PROXY` and the like say."
    )
    timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(),
        description="How long a request may take before it is in doubt.",
    )

    @when_complete
    def _proxy_is_an_address(self) -> None:
        if self.proxy is not None and not re.match(
            r"https?://[^/\s]+", self.proxy.get_secret_value()
        ):
            raise ValueError("proxy: expected a URL that begins with http:// or https://")
