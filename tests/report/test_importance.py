"""The share of the variance that an option explains, of figures whose shares are known."""

import dataclasses

import numpy as np
import pytest

from jaxmarl_core.report.importance import importances, sentence, total_indices
from jaxmarl_core.store.tables import Objective, Results, table

pytest.importorskip("sklearn", reason="the extra `search` is not installed")
OBJECTIVE = Objective("figure", True, 1.0, "mean")
SCALES = {"rate": "log", "clip": "linear"}


def results_of(figure, num=800, seed=0):
    """A sweep of so many configurations with a run each, at random places of the box."""
    draw = np.random.default_rng(seed)
    runs = [
        {
            "run": i,
            "seed": 0,
            "hparams": {"rate": float(10 ** draw.uniform(-4, -1)), "clip": float(draw.uniform())},
            "static": {"share": ["none", "all"][int(draw.integers(2))]},
        }
        for i in range(num)
    ]
    values = [figure(**run["hparams"], **run["static"]) for run in runs]
    metrics = {"figure": np.array(values)[:, None], "finite": np.ones((num, 1))}
    return Results(runs, metrics, np.full(num, 1), np.full(num, -1))


def shares_of(results):
    return importances(results, OBJECTIVE, table(results, OBJECTIVE), SCALES)


def test_shares_are_those_of_a_sum():
    """3 u + v + coin / 2: variances 9/12, 1/12 and 1/16 are 36, 4 and 3 of 43."""
    found = shares_of(
        results_of(lambda rate, clip, share: np.log10(rate) + clip + 0.5 * (share == "all"))
    )
    assert next(iter(found)) == "rate"
    expected = {"rate": 36 / 43, "clip": 4 / 43, "share": 3 / 43}
    for name, share in expected.items():
        assert found[name] == pytest.approx(share, abs=0.06)


def test_what_two_do_together_hangs_on_both():
    found = shares_of(
        results_of(lambda rate, clip, share: (clip - 0.5) * (1 if share == "all" else -1))
    )
    assert found["clip"] > 0.8 and found["share"] > 0.7 and found["rate"] < 0.1


def test_indices_are_those_of_ishigami():
    """sin x + 7 sin^2 y + 0.1 z^4 sin x: 0.5576, 0.4424, 0.2437 (Saltelli et al., 2010)."""
    known = np.random.default_rng(0).uniform(-np.pi, np.pi, (20_000, 3))

    def ishigami(at):
        x, y, z = at.T
        return np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)

    np.testing.assert_allclose(total_indices(ishigami, known), [0.5576, 0.4424, 0.2437], atol=0.01)


@pytest.mark.parametrize("num", [16, 64, 200])
def test_of_noise_nothing_is_said(num):
    draw = np.random.default_rng(1)
    assert shares_of(results_of(lambda **told: draw.normal(), num)) == {}


def test_what_a_search_chose_is_not_taken_for_independent():
    results = results_of(lambda rate, clip, share: np.log10(rate) + clip)
    assert shares_of(results)
    assert shares_of(dataclasses.replace(results, spec={"search": {"kind": "optuna"}})) == {}


def test_where_there_is_nothing_to_say_nothing_is_said():
    assert shares_of(results_of(lambda rate, clip, share: rate, num=15)) == {}
    assert shares_of(results_of(lambda rate, clip, share: 1.0)) == {}
    assert shares_of(results_of(lambda rate, clip, share: np.nan)) == {}
    assert sentence({}) == ""
    assert sentence({"rate": 0.513, "clip": 0.08}).endswith("hangs on it: rate 51 %, clip 8 %.")
