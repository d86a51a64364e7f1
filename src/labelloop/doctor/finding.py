"""What a check finds, and how checks are made: each by itself, so that one can't stop the next."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from labelloop.errors import LabelloopError

if TYPE_CHECKING:
    from labelloop.doctor.subject import Subject


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, and something may surprise."""
    FAIL = "FAIL"
    """It doesn't work."""
    FIXED = "fixed"
    """It didn't work, and was mended just now."""
    YOU = "you"
    """labelloop can't find out; a person must try."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor, under the name of the check that found it."""

    check: str
    outcome: Outcome
    says: str
    remedy: str = ""

    def under(self, check: str) -> "Finding":
        """The same line under the name of another check than the one that found it."""
        return replace(self, check=check)


@dataclass(frozen=True, slots=True)
class Check:
    """A check by name. It is made only where none of the checks that it `needs` failed."""

    name: str
    make: "Callable[[Subject], Iterable[Finding]]"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings; `not_made` names the checks that need what failed."""

    findings: tuple[Finding, ...]
    not_made: tuple[str, ...] = ()

    @property
    def n_failed(self) -> int:
        """How many checks failed."""
        return sum(f.outcome is Outcome.FAIL for f in self.findings)


def ok(says: str) -> Finding:
    """It works."""
    return Finding("", Outcome.OK, says)


def warn(says: str, remedy: str) -> Finding:
    """It works, and something may surprise."""
    return Finding("", Outcome.WARN, says, remedy)


def fail(says: str, remedy: str) -> Finding:
    """It doesn't work."""
    return Finding("", Outcome.FAIL, says, remedy)


def fixed(says: str) -> Finding:
    """It didn't work, and was mended just now."""
    return Finding("", Outcome.FIXED, says)


def you(says: str, remedy: str) -> Finding:
    """A person must try."""
    return Finding("", Outcome.YOU, says, remedy)


def failed(error: LabelloopError) -> Finding:
    """It doesn't work, as an error says."""
    return fail(str(error.args[0]), error.remedy)


def examine(checks: Sequence[Check], subject: "Subject") -> Diagnosis:
    """Make the checks in their order."""
    findings: list[Finding] = []
    not_made: list[str] = []
    for check in checks:
        broken = {f.check for f in findings if f.outcome is Outcome.FAIL} | set(not_made)
        if broken & set(check.needs):
            not_made.append(check.name)
        else:
            findings += named(check.name, _made(check, subject))
    return Diagnosis(tuple(findings), tuple(not_made))


def named(check: str, findings: Iterable[Finding]) -> list[Finding]:
    """The findings of a check under its name; those that have another one keep it."""
    return [found if found.check else found.under(check) for found in findings]


def _made(check: Check, subject: "Subject") -> Iterator[Finding]:
    try:
        yield from check.make(subject)
    except LabelloopError as exc:
        yield failed(exc)
    except Exception as exc:  # noqa: BLE001  one broken check must not hide the others
        said = f"{type(exc).__name__}: {exc}"
        yield fail(
            f"the check itself failed: {said}",
            "please report it with this line",
        )
