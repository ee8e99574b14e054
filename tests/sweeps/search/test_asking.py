"""Asking Optuna: what is proposed, by what was told, and a sweep that does so."""

import json
import shutil

import numpy as np
import pytest
from interrupted_sweeps import assert_same_results

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.draws import Choice, LogUniform, Normal, Uniform
from jaxmarl_core.sweeps.search.asking import Asking, ask
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import run

pytest.importorskip("optuna", reason="the extra `search` is not installed")
DRAWS = {"a": Uniform(0.0, 1.0), "b": LogUniform(1e-4, 1.0), "c": Choice((0.1, 0.5, 0.9))}


def surface(known):
    """Best, 0, at a = 0.7, b = 1e-2, c = 0.5."""
    a, b, c = (known[name] for name in "abc")
    return -((4 * (a - 0.7)) ** 2) - np.log10(b / 1e-2) ** 2 - 4 * abs(c - 0.5)


def searched(options, num, sign=1.0):
    """[(configuration, figure)] of so many configurations."""
    told = []
    while len(told) < num:
        batch = ask(options, DRAWS, told, sign > 0)
        told += [(known, sign * surface(known)) for known in batch]
    return told


def best(told):
    return max(figure for _, figure in told)


@pytest.mark.parametrize("sampler", ["tpe", "cma-es", "random"])
def test_proposals_follow_from_what_was_told(sampler):
    draws = {name: draw for name, draw in DRAWS.items() if name != "c" or sampler != "cma-es"}
    options = Asking(4, sampler, seed=3)
    told = [(known, known["a"]) for known in ask(options, draws, [], True)]
    first = ask(options, draws, told, True)
    rounded = [({n: float(np.float32(x)) for n, x in known.items()}, f) for known, f in told]
    assert first == ask(options, draws, told, True)
    again = ask(options, draws, rounded, True)  # as the plan of a sweep holds them
    for one, other in zip(first, again):
        np.testing.assert_allclose(list(one.values()), list(other.values()), 1e-3)
    assert len({tuple(known.values()) for known in first}) == 4
    assert ask(options, draws, [], True) != ask(Asking(4, sampler, seed=4), draws, [], True)
    for known in first:
        assert 0 <= known["a"] <= 1 and 1e-4 <= known["b"] <= 1


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_half_the_configurations_do_as_well_as_random_search(sampler):
    """The median over eight seeds, of 32 in batches of 4 against 64 at random."""
    ours = [best(searched(Asking(4, sampler, 100 * seed), 32)) for seed in range(8)]
    chance = [best(searched(Asking(64, "random", 100 * seed), 64)) for seed in range(8)]
    assert np.median(ours) > np.median(chance)


def test_lower_may_be_better():
    told = searched(Asking(4, "tpe", 0), 40, sign=-1.0)
    assert min(figure for _, figure in told) < 0.5
    assert np.mean([figure for _, figure in told[20:]]) < np.mean([f for _, f in told[:8]])


def test_what_diverged_is_told_as_the_worst():
    """Everything above a = 0.5, half of the range, diverges, and is avoided; 0.2 is best."""
    told, options = [], Asking(4, "tpe", 1)
    for _ in range(10):
        batch = ask(options, {"a": DRAWS["a"]}, told, True)
        told += [(x, np.nan if x["a"] > 0.5 else -abs(x["a"] - 0.2)) for x in batch]
    late = [known["a"] for known, _ in told[20:]]
    assert np.mean(np.array(late) <= 0.5) > 0.6
    assert ask(options, {"a": DRAWS["a"]}, [({"a": 0.5}, np.nan)] * 4, True)


def test_a_normal_number_is_asked_for_near_its_mean():
    draws = {"x": Normal(0.0, 1.0), "y": Normal(0.1, 1.0, low=0.0, high=1.0)}
    for known in ask(Asking(40, "random"), draws, [], True):
        assert -4 <= known["x"] <= 4 and 0 <= known["y"] <= 1


SPEC = {
    "algorithm": "q_learning",
    "environment": "matrix_game",
    "environment_options": {"num_rounds": 3},
    "seeds": 2,
    "updates": 4,
    "segment": 2,
    "config": {"rollout_length": 4},
    "random": {"num": 6, "learning_rate": [0.01, 0.5], "epsilon": [0.0, 0.5]},
    "search": {"kind": "optuna", "batch": 2},
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return run(from_dict(SPEC), tmp_path_factory.mktemp("asked") / "sweep")


def test_a_sweep_learns_batch_after_batch(asked):
    entries = json.loads((asked / "plan.json").read_text())["parts"]
    assert [entry["rows"] for entry in entries] == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]
    results = sweep_folder.read(asked)
    assert [run["run"] for run in results.runs] == list(range(12))
    assert [run["seed"] for run in results.runs] == [0, 1] * 6
    assert (results.num_updates_done == 4).all()
    rates = [run["hparams"]["learning_rate"] for run in results.runs]
    assert rates[::2] == rates[1::2] and len(set(rates)) == 6
    assert all(0.01 <= rate <= 0.5 for rate in rates)
    told = [np.float32(x) for entry in entries for x in entry["asked"]["learning_rate"]]
    np.testing.assert_array_equal(np.float32(rates), told)


@pytest.mark.parametrize("num_left", [1, 2])
def test_a_sweep_that_was_killed_asks_for_the_same(asked, tmp_path, num_left):
    """As a crash leaves it: before a batch was planned, with what the one before it found."""
    folder = tmp_path / "sweep"
    shutil.copytree(asked, folder)
    told = json.loads((folder / "plan.json").read_text())
    for entry in told["parts"][num_left:]:
        shutil.rmtree(folder / entry["folder"])
    told["parts"] = told["parts"][:num_left]
    (folder / "plan.json").write_text(json.dumps(told))
    assert_same_results(run(from_dict(SPEC), folder, resume=True), asked)


def test_a_finished_one_stays_as_it_is(asked):
    before = (asked / "plan.json").read_text()
    run(from_dict(SPEC), asked, resume=True)
    assert (asked / "plan.json").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": {"kind": "optuna", "batch": 4}}, r"search.batch: expected a divisor .*\(6\)"),
        ({"search": {"kind": "optuna", "batch": 2, "sampler": "gp"}}, "search.sampler: .*'gp'"),
        ({"search": {"kind": "optuna"}}, "search.batch: expected a value, got nothing"),
        ({"search": {"kind": "optuna", "batch": 0}}, "search.batch: expected at least 1, got 0"),
        ({"random": {}}, "random: expected the ranges that optuna searches"),
        ({"grid": {"hparams": {"gamma": [0.9, 1.0]}}}, "search.kind: expected another kind"),
        (
            {"grid": {"config": {"rollout_length": [2, 4]}}, "config": {}},
            "search.kind: expected an",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        variants(from_dict(SPEC | change))


def test_other_proposals_than_were_made_are_said():
    options = Asking(2, "cma-es")
    draws = {name: DRAWS[name] for name in "ab"}
    told = [(known, 0.0) for known in ask(options, draws, [], True)]
    told[1] = ({"a": 0.123, "b": 0.5}, 0.0)
    with pytest.raises(ValueError, match=r"search\.sampler: expected configurations as version"):
        ask(options, draws, told, True)
