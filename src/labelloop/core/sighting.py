"""Who saw what the model said of a sample before it was answered blind, and whose answers that voids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody saw what the model said of a sample that waited for a blind answer.

    account
        the name under which they use the dashboard
    annotator
        the id that their answers carry, where they said it; empty where they didn't
    """

    account: str
    annotator: str
    at: datetime


def saw_before(
    sightings: Iterable[Sighting], names: Mapping[str, str], annotator: str, at: datetime
) -> bool:
    """Whether the author of an answer saw what the model said before they gave it.

    names
        the name or the e-mail address of each annotator whom the annotator tells of
    """
    return any(
        s.at <= at
        and (s.annotator == annotator or is_same_person(s.account, annotator, names.get(annotator)))
        for s in sightings
    )


def is_same_person(account: str, annotator: str, name: str | None) -> bool:
    """Whether an account of the dashboard belongs to the person behind an annotator's id.

    Names are compared without case; a name alone matches every address that begins with it.

    >>> is_same_person("Ann@example.com", "7", "ann@example.com")
    True
    >>> is_same_person("ann", "7", "ann@example.com"), is_same_person("ben", "7", "ann@example.com")
    (True, False)
    """
    own = account.casefold()
    for said in (annotator, name or annotator):
        other = said.casefold()
        if own in {other, other.partition("@")[0]} or own.partition("@")[0] == other:
            return True
    return False
