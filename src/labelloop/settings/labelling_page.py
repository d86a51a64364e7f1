"""[labelling_page]: labelloop's own page for people who label."""

from pydantic import Field, SecretStr

from labelloop.settings.values import Section


class LabellingPageSettings(Section):
    """labelloop's own labelling page, which `labelloop serve` shows at /label."""

    answers: SecretStr = Field(
        SecretStr("sqlite:///.labelloop/answers.db"),
        description="The database that keeps what people answer: `sqlite:///PATH`, or "
        "`postgresql://USER:PASSWORD@HOST/NAME`, where it has a schema `labelloop_answers`.",
    )
