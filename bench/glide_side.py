"""glide-py's ActiveSampler and ASIMeanEstimator on given populations; a process of its own.

Reads an .npz with risk and wrong, prints coverage and mean width as JSON.
"""

import json
import sys
import warnings

import numpy as np
from glide.estimators import ASIMeanEstimator
from glide.samplers import ActiveSampler


def main(path: str, n: int, runs: int, seed: int) -> None:
    held = np.load(path)
    risk, wrong = np.clip(held["risk"], 1e-3, 1 - 1e-3), held["wrong"].astype(float)
    uncertainty = np.sqrt(risk * (1 - risk))
    covered = width = labels = 0.0
    for run in range(runs):
        pi, xi = ActiveSampler().sample(uncertainty, n, random_seed=seed + run)
        answers = np.where(xi == 1, wrong, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = ASIMeanEstimator().estimate(answers, risk, pi, confidence_level=0.95)
            except ValueError:  # no error among the labels: its variance is 0 / 0
                continue
        low = found.confidence_interval.lower_bound
        high = found.confidence_interval.upper_bound
        covered += low <= wrong.mean() <= high
        width += min(high, 1) - max(low, 0)
        labels += np.nansum(xi)
    print(json.dumps([covered / runs, width / runs, labels / runs]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
