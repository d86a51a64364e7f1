"""What a check finds, and how checks are made: each by itself, so that one can't stop the next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labelloop.errors import LabelloopError


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
    """One line of the doctor."""

    check: str
    outcome: Outcome
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A check by name. It is made only where none of the checks that it `needs` failed."""

    name: str
    make: Callable[[], Iterable[Finding]]
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


def ok(check: str, says: str) -> Finding:
    """It works."""
    return Finding(check, Outcome.OK, says)


def warn(check: str, says: str, remedy: str) -> Finding:
    """It works, and something may surprise."""
    return Finding(check, Outcome.WARN, says, remedy)


def fail(check: str, says: str, remedy: str) -> Finding:
    """It doesn't work."""
    return Finding(check, Outcome.FAIL, says, remedy)


def fixed(check: str, says: str) -> Finding:
    """It didn't work, and was mended just now."""
    return Finding(check, Outcome.FIXED, says)


def you(check: str, says: str, remedy: str) -> Finding:
    """A person must try."""
    return Finding(check, Outcome.YOU, says, remedy)


def failed(check: str, error: LabelloopError) -> Finding:
    """It doesn't work, as an error says."""
    return fail(check, str(error.args[0]), error.remedy)


def examine(checks: Sequence[Check]) -> Diagnosis:
    """Make the checks in their order."""
    findings: list[Finding] = []
    not_made: list[str] = []
    for check in checks:
        broken = {f.check for f in findings if f.outcome is Outcome.FAIL} | set(not_made)
        if broken & set(check.needs):
            not_made.append(check.name)
            continue
        findings += _made(check)
    return Diagnosis(tuple(findings), tuple(not_made))


def _made(check: Check) -> list[Finding]:
    try:
        return list(check.make())
    except LabelloopError as exc:
        return [failed(check.name, exc)]
    except Exception as exc:  # noqa: BLE001  one broken check must not hide the others
        said = f"{type(exc).__name__}: {exc}"
        return [
            fail(check.name, f"the check itself failed: {said}", "please report it with this line")
        ]
