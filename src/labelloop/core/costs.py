"""What wrong predictions cost, by the answer that holds and the class that the model said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labelloop.core.outcome import is_wrong, outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The cost of each error, in units of the user's; a right prediction costs nothing.

    default
        of an error whose pair isn't in `pairs`, and of a prediction that is no class
    pairs
        of the errors named: (label, predicted class)
    """

    default: float = 1.0
    pairs: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, label: str | None, predicted_class: str | None) -> float:
        """The cost of a prediction that people answered with `label`.

        >>> costs = Costs(pairs={("melanoma", "mole"): 20.0})
        >>> costs.of("melanoma", "mole"), costs.of("mole", "melanoma"), costs.of("mole", "mole")
        (20.0, 1.0, 0.0)
        """
        if not is_wrong(outcome(label, predicted_class)):
            return 0.0
        return self.pairs.get((label or "", predicted_class or ""), self.default)

    @property
    def possible(self) -> tuple[float, ...]:
        """Every cost above 0 that an error may have, rising."""
        return tuple(sorted({c for c in (self.default, *self.pairs.values()) if c > 0}))
