"""[label_studio]: where people label."""

import re
from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from labelloop.settings.values import Duration, Section, WebAddress, when_complete


class LabelStudioSettings(Section):
    """Where people label."""

    url: WebAddress = Field(description="The URL of Label Studio for labelloop.")
    public_url: WebAddress | None = Field(
        None, description="The URL of Label Studio for people, if it differs."
    )
    api_key: SecretStr = Field(
        description="A personal access token or a legacy token; labelloop recognises which it is."
    )
    ca_file: Path | None = Field(
        None, description="A file of CA certificates, if the server has its own CA."
    )
    proxy: SecretStr | None = Field(
        None,
        description="The HTTP proxy to the server. Default: `HTTPS_PROXY` and similar variables.",
    )
    timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(),
        description="How long a request may take. After that, labelloop checks whether it was carried "
        "out.",
    )

    @when_complete
    def _proxy_is_an_address(self) -> None:
        if self.proxy is not None and not re.match(
            r"https?://[^/\s]+", self.proxy.get_secret_value()
        ):
            raise ValueError("proxy: expected a URL that begins with http:// or https://")
