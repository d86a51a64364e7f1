"""The input of the estimators: the histogram of a frame, and its labelled blind draws."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import (
    BIN_RISKS,
    Bools,
    Floats,
    Ints,
    probabilities,
    risk_bins,
    same_length,
    scores,
    truths,
)
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """How many samples of a frame share a risk bin and an inclusion probability.

    n, bins, inclusion
        one entry a cell: samples in it, its risk bin, its inclusion probability. Where an application
        logged a share s of its traffic, `n` are the samples of the traffic, those logged divided by s,
        and `inclusion` is the chance to be logged and drawn
    unlogged
        for each cell the sum of (1 - s) / s^2 over its logged samples, from which it is seen how well
        they tell the traffic; None: all of it was logged

    The estimators need the histogram and not sums fixed beforehand: their variance depends on a
    model that is fitted to the labels.
    """

    n: Floats
    bins: Ints
    inclusion: Floats
    unlogged: Floats | None = None

    @classmethod
    def from_arrays(cls, risk: npt.ArrayLike, inclusion: npt.ArrayLike) -> "Frame":
        """The histogram of a frame given sample by sample: risk (N,) in [0, 1], inclusion (N,) in
        (0, 1].

        Raises:
            ArgumentError: lengths that differ, an empty frame, values out of range.

        >>> Frame.from_arrays([0.1, 0.1, 0.5], [0.2, 0.2, 0.6]).population
        3
        """
        bins = risk_bins(risk)
        given = probabilities("inclusion", inclusion)
        same_length(risk=bins, inclusion=given)
        if bins.size == 0:
            raise ArgumentError("risk: the frame has no samples", remedy="pass every sample's risk")
        cells, n = np.unique(bins + 1j * given, return_counts=True)
        return cls(n.astype(np.float64), cells.real.astype(np.int64), cells.imag.copy())

    @classmethod
    def from_counts(cls, counts: npt.ArrayLike, inclusion: npt.ArrayLike) -> "Frame":
        """The histogram of a frame of any size: counts (1024,) and inclusion (1024,) of each risk
        bin.

        Raises:
            ArgumentError: not 1,024 of each, negative counts, no samples, inclusion outside (0, 1].

        >>> import numpy as np
        >>> Frame.from_counts(np.full(1024, 10**6), np.full(1024, 1e-6)).population
        1024000000
        """
        sizes, given = np.asarray(counts), np.asarray(inclusion, dtype=np.float64)
        if sizes.shape != (RISK_BINS,) or given.shape != (RISK_BINS,):
            raise ArgumentError(
                f"counts {sizes.shape}, inclusion {given.shape}: expected {RISK_BINS} of each",
                remedy="pass one count and one probability for each bin of risk",
            )
        if sizes.dtype.kind not in "iu" or (sizes < 0).any() or not sizes.any():
            raise ArgumentError(
                f"counts of {sizes.dtype}, {sizes.sum()} in all: expected whole numbers from 0, "
                "not all of them 0",
                remedy="count the frame's samples by risk bin",
            )
        some = np.flatnonzero(sizes)
        return cls(
            sizes[some].astype(np.float64), some, probabilities("inclusion", given[some]).copy()
        )

    @property
    def population(self) -> int:
        """How many samples the frame has."""
        return round(float(self.n.sum()))

    @property
    def risk(self) -> Floats:
        """The risk of each cell: the midpoint of its bin."""
        return BIN_RISKS[self.bins]


@dataclass(frozen=True, slots=True, eq=False)
class BlindRound:
    """The blind draws of one round that people have reached, and the frame that they were drawn
    from.

    score
        (n,) float64 in [0, 1]: how far the person's answer agrees with the prediction; ignored
        where there is no answer
    risk, inclusion
        (n,) float64, as they were when drawn; `inclusion` and `frame` are those of the furthest
        position reached (`labelloop.sampling.reached_inclusion`)
    answered
        (n,) bool: False for open and skipped draws; None: all are answered
    n_set_aside
        rows of this traffic that could not be read, so that no draw could reach them
    agreed
        (n,) bool, of rounds with second looks: whether the first answer equals the prediction;
        `score` is then below 1 for confirmed errors alone
    recapture
        (n,) float64, of the same: for confirmed errors 1.0 if a further blind answer agreed with the
        model, 0.0 if not; NaN where none was asked for

    `BlindRound.checked` makes one from lists and refuses what can't be.
    """

    score: Floats
    risk: Floats
    inclusion: Floats
    frame: Frame
    answered: Bools
    n_set_aside: float = 0
    agreed: Bools | None = None
    recapture: Floats | None = None

    @classmethod
    def checked(
        cls,
        correct: npt.ArrayLike,
        risk: npt.ArrayLike,
        inclusion: npt.ArrayLike,
        frame: Frame,
        *,
        answered: npt.ArrayLike | None = None,
        n_set_aside: float = 0,
        agreed: npt.ArrayLike | None = None,
        recapture: npt.ArrayLike | None = None,
    ) -> "BlindRound":
        """The round, once everything has been checked; `correct` is (n,) bool, or scores in [0, 1].

        Raises:
            ArgumentError: lengths that differ, values out of range, more draws than the frame
            holds.
        """
        score = scores("correct", correct)
        heard = (
            np.ones(score.size, dtype=bool) if answered is None else truths("answered", answered)
        )
        bins = risk_bins(risk)
        given = probabilities("inclusion", inclusion)
        same_length(correct=score, risk=bins, inclusion=given, answered=heard)
        if score.size > frame.population:
            raise ArgumentError(
                f"{score.size} draws from a frame of {frame.population}: expected no more",
                remedy="pass each drawn sample once, with the frame of its round",
            )
        if n_set_aside < 0:
            raise ArgumentError(
                f"n_set_aside = {n_set_aside}: expected 0 or more", remedy="write 0 for none"
            )
        first = None if agreed is None else truths("agreed", agreed)
        again = None if recapture is None else recaptures(recapture)
        looks = {"agreed": first, "recapture": again}
        same_length(correct=score, **{name: a for name, a in looks.items() if a is not None})
        return cls(score, BIN_RISKS[bins], given, frame, heard, n_set_aside, first, again)


def recaptures(values: npt.ArrayLike) -> Floats:
    """`values` as float64; ArgumentError for anything but 1, 0 and NaN."""
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not (np.isnan(given) | np.isin(given, (0.0, 1.0))).all():
        raise ArgumentError(
            f"recapture: expected a list of 1.0, 0.0 and NaN, got shape {given.shape}",
            remedy="pass 1.0 if another answer agreed with the model, 0.0 if it didn't, and NaN if "
            "nobody was asked",
        )
    return given
