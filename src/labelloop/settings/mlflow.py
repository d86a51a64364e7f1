"""[mlflow]: the tracking server that hears of datasets, accuracies and candidates."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from labelloop.settings.notify import web_address
from labelloop.settings.values import Section


class MlflowSettings(Section):
    """An MLflow 3 tracking server. Leave the section out if you have none."""

    url: Annotated[SecretStr, AfterValidator(web_address)] = Field(
        description="Where the tracking server listens. Messages show its host alone."
    )
    experiment: str = Field(
        "labelloop", min_length=1, description="The experiment; it is made if it isn't there."
    )
    secret: SecretStr | None = Field(
        None, description="`USER:PASSWORD`, or a token. Default: the server asks for none."
    )
    alias: str = Field(
        "champion",
        pattern=r"^[A-Za-z][\w-]*$",
        description="The alias that `compare --promote MODEL@VERSION` gives to a version that passes.",
    )
