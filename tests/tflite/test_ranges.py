"""Ranges of activations, from what was seen."""

import numpy as np
import pytest

from padless.tflite.ranges import BINS, METHODS, Seen, chosen


def seen(values):
    low, high = float(values.min()), float(values.max())
    return Seen(low, high, np.histogram(values[values != 0], BINS, (low, high))[0])


def of(values, method, bits=8):
    return chosen({7: seen(values)}, method, bits)[7]


def error(values, low, high, bits=8):
    step = (high - low) / (2**bits - 1)
    return float((((np.clip(values, low, high) / step).round() * step - values) ** 2).mean())


def test_the_extremes_and_zero():
    values = np.array([0.5, 2.0, 3.0])
    assert of(values, "minmax") == (0.0, 3.0)
    assert of(-values, "minmax") == (-3.0, 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_seen_and_one_number(method):
    assert chosen({0: Seen(0.0, 0.0, np.zeros(BINS, int))}, method)[0] == (0.0, 0.0)
    assert chosen({0: Seen(-2.0, -2.0, np.zeros(BINS, int))}, method)[0] == (-2.0, 0.0)


def test_percentile_cuts_what_is_rare_and_far():
    values = np.concatenate([np.random.default_rng(0).uniform(-1, 1, 100_000), [50.0]])
    low, high = of(values, "percentile")
    assert low == pytest.approx(-1, abs=0.05) and high == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "outlier"])
def test_mse_rounds_better_than_the_extremes_and_the_percentile(kind):
    rng = np.random.default_rng(1)
    values = {
        "normal": rng.normal(size=50_000),
        "laplace": rng.laplace(size=50_000),
        "relu": np.maximum(rng.normal(size=50_000), 0),
        "outlier": np.concatenate([rng.normal(size=50_000), [40.0]]),
    }[kind]
    errors = {method: error(values, *of(values, method)) for method in METHODS}
    assert errors["mse"] <= 1.02 * min(errors.values())
    assert errors["mse"] < errors["minmax"]


def test_more_bits_clip_less():
    values = np.random.default_rng(1).laplace(size=50_000)
    assert of(values, "mse", 16)[1] > of(values, "mse", 8)[1]
