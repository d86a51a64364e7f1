"""Why an input can't be exported."""

from dataclasses import dataclass

from labelloop.errors import InputChanged, InputDenied, InputGone


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a sample's input can't be exported, in words."""

    why: str

    @classmethod
    def because(cls, exc: InputGone) -> "Lost":
        """What the store says became of it.

        >>> Lost.because(InputGone("s3://b/a.png")).why
        'gone: no object stands there'
        """
        if isinstance(exc, InputChanged):
            return cls("overwritten: another content stands there than was labelled")
        if isinstance(exc, InputDenied):
            return cls("denied or archived: this object alone can't be read")
        return cls("gone: no object stands there")
