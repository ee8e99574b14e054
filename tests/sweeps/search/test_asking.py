"""Asking Optuna: what is proposed, by what was told, and a sweep that does so."""

import json
import shutil

import numpy as np
import pytest
from interrupted_sweeps import assert_same_results
from small_sweeps import GAME

from jaxmarl_core.cli import watch
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.tables import final
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.draws import Choice, LogUniform, Normal, Uniform
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.search.asking import Asking, _filled, ask
from jaxmarl_core.sweeps.search.batches import told
from jaxmarl_core.sweeps.spec import from_dict, variants
from jaxmarl_core.sweeps.worker import run

pytest.importorskip("optuna", reason="the extra `search` is not installed")
DRAWS = {"a": Uniform(0.0, 1.0), "b": LogUniform(1e-4, 1.0), "c": Choice((0.1, 0.5, 0.9))}


def surface(known):
    """Best, 0, at a = 0.7, b = 1e-2, c = 0.5."""
    a, b, c = (known[name] for name in "abc")
    return -((4 * (a - 0.7)) ** 2) - np.log10(b / 1e-2) ** 2 - 4 * abs(c - 0.5)


def searched(options, num, sign=1.0, draws=DRAWS):
    """[(configuration, figure)] of so many configurations."""
    told = []
    while len(told) < num:
        batch = ask(options, draws, told, sign > 0)
        told += [(known, sign * surface({"c": 0.5} | known)) for known in batch]
    return told


def best(told):
    return max(figure for _, figure in told)


RANGES = {name: DRAWS[name] for name in "ab"}


@pytest.mark.parametrize("sampler", ["tpe", "cma-es", "random"])
def test_proposals_follow_from_what_was_told(sampler):
    """After three batches of six, more than TPE draws at random at first."""
    options = Asking(6, sampler, seed=3)
    told = searched(options, 18, draws=RANGES)
    asked = ask(options, RANGES, told, True)
    assert asked == ask(options, dict(reversed(RANGES.items())), told, True)
    rounded = [({n: float(np.float32(x)) for n, x in known.items()}, f) for known, f in told]
    for one, other in zip(asked, ask(options, RANGES, rounded, True)):  # as a plan holds them
        np.testing.assert_allclose(list(one.values()), list(other.values()), 1e-3)
    for known in asked:
        assert 0 <= known["a"] <= 1 and 1e-4 <= known["b"] <= 1
    assert len({tuple(known.values()) for known in asked}) == 6
    turned = ask(options, RANGES, [(known, -figure) for known, figure in told], True)
    assert (turned == asked) == (sampler == "random")


def test_no_batch_of_one_seed_is_one_of_another():
    """Seed 1 does not go on where seed 0 began."""
    drawn = [
        ask(Asking(4, "random", seed), RANGES, [({"a": 0.5, "b": 0.1}, 0.0)] * told, True)
        for seed in range(3)
        for told in (0, 4, 8)
    ]
    assert len({tuple(batch[0].values()) for batch in drawn}) == 9


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_half_the_configurations_do_as_well_as_random_search(sampler):
    """The median over eight seeds, of 32 in batches of 4 against 64 at random."""
    draws = RANGES if sampler == "cma-es" else DRAWS
    ours = [best(searched(Asking(4, sampler, seed), 32, draws=draws)) for seed in range(8)]
    chance = [best(searched(Asking(64, "random", seed), 64, draws=draws)) for seed in range(8)]
    assert np.median(ours) > np.median(chance)


def test_lower_may_be_better():
    told = searched(Asking(4, "tpe", 0), 40, sign=-1.0)
    assert min(figure for _, figure in told) < 0.5
    assert np.mean([figure for _, figure in told[20:]]) < np.mean([f for _, f in told[:8]])


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_what_diverged_is_told_as_the_worst(sampler):
    """Where a is above 0.5, half of the range, all diverge, and it is avoided; 0.2 is best."""
    told, options = [], Asking(4, sampler, 1)
    for _ in range(10):
        batch = ask(options, RANGES, told, True)
        told += [(x, np.nan if x["a"] > 0.5 else -abs(x["a"] - 0.2)) for x in batch]
    late = [known["a"] for known, _ in told[20:]]
    assert np.mean(np.array(late) <= 0.5) > 0.6
    nobody = [({"a": 0.5, "b": 0.1}, np.nan)] * 4
    assert len(ask(options, RANGES, nobody, True)) == 4


def test_what_comes_later_changes_nothing_that_was_told():
    """A run without a figure ranks as it did, whatever worse there is later."""
    figures = [5.0, np.nan, 4.0, 3.5, 2.0, 2.5, np.nan, 0.1]
    first = list(_filled(figures[:4], 4, True))
    assert first == [5.0, 3.5, 4.0, 3.5]
    assert list(_filled(figures, 4, True)) == [*first, 2.0, 2.5, 0.1, 0.1]
    assert list(_filled(figures[:2], 2, False)) == [5.0, 5.0]


def test_a_normal_number_is_asked_for_near_its_mean():
    draws = {"x": Normal(0.0, 1.0), "y": Normal(0.1, 1.0, low=0.0, high=1.0)}
    for known in ask(Asking(40, "random"), draws, [], True):
        assert -4 <= known["x"] <= 4 and 0 <= known["y"] <= 1


SPEC = GAME | {
    "first_seed": 0,
    "updates": 4,
    "grid": {},
    "evaluation": {},
    "random": {"num": 20, "learning_rate": [0.01, 0.5], "epsilon": [0.0, 0.5]},
    "search": {"kind": "optuna", "batch": 4},
}


@pytest.fixture(scope="module", params=["tpe", "cma-es"])
def spec(request):
    """More configurations than TPE draws at random at first."""
    return from_dict(SPEC | {"search": {**SPEC["search"], "sampler": request.param}})


@pytest.fixture(scope="module")
def asked(spec, tmp_path_factory):
    return run(spec, tmp_path_factory.mktemp("asked") / "sweep")


def test_a_sweep_learns_batch_after_batch(asked):
    entries = json.loads((asked / "plan.json").read_text())["parts"]
    rows = np.repeat(np.arange(20), 2).reshape(5, 8)
    assert [entry["rows"] for entry in entries] == rows.tolist()
    results = sweep_folder.read(asked)
    assert [run["run"] for run in results.runs] == list(range(40))
    assert [run["seed"] for run in results.runs] == [0, 1] * 20
    assert (results.num_updates_done == 4).all()
    rates = [run["hparams"]["learning_rate"] for run in results.runs]
    assert rates[::2] == rates[1::2] and len(set(rates)) == 20
    assert all(0.01 <= rate <= 0.5 for rate in rates)
    told = [np.float32(x) for entry in entries for x in entry["asked"]["learning_rate"]]
    np.testing.assert_array_equal(np.float32(rates), told)


def test_what_is_told_is_the_statistic_over_seeds(spec, asked):
    parts = plan.read(asked, variants(spec))
    results = sweep_folder.read(asked)
    goal = objective(spec, results)
    figures = final(results, goal).reshape(20, 2).mean(axis=1)  # of two the middle is the mean
    found = told(spec, parts)
    np.testing.assert_allclose([figure for _, figure in found], figures, 1e-6)
    rates = [run["hparams"]["learning_rate"] for run in results.runs[::2]]
    np.testing.assert_array_equal([known["learning_rate"] for known, _ in found], np.float32(rates))


@pytest.mark.parametrize("num_left", [1, 3])
def test_a_sweep_that_was_killed_asks_for_the_same(spec, asked, tmp_path, num_left):
    """As a crash leaves it: before a batch was planned, with what the one before it found."""
    folder = tmp_path / "sweep"
    shutil.copytree(asked, folder)
    planned = json.loads((folder / "plan.json").read_text())
    for entry in planned["parts"][num_left:]:
        shutil.rmtree(folder / entry["folder"])
    planned["parts"] = planned["parts"][:num_left]
    (folder / "plan.json").write_text(json.dumps(planned))
    assert watch.glance(folder).total == 40 * 4 > watch.glance(folder).done
    assert_same_results(run(spec, folder, resume=True), asked)


def test_a_finished_one_stays_as_it_is(spec, asked):
    before = (asked / "plan.json").read_text()
    run(spec, asked, resume=True)
    assert watch.glance(asked).done == watch.glance(asked).total == 160
    assert (asked / "plan.json").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": {"kind": "optuna", "batch": 3}}, r"search.batch: expected a divisor .*\(20\)"),
        ({"search": {"kind": "optuna", "batch": 2, "sampler": "gp"}}, "search.sampler: .*'gp'"),
        (
            {"search": {"kind": "optuna", "batch": 2, "sampler": "cma-es"}},
            "search.batch: .*least 4",
        ),
        ({"random": {**SPEC["random"], "seed": 3}}, "random.seed: expected search.seed in its"),
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


def test_numbers_of_the_world_are_checked_as_far_as_is_asked():
    """A standard deviation whose range goes below 0."""
    sigma = {"kind": "normal", "mean": 3.0, "deviation": 1.0}
    squeeze = {
        "algorithm": "q_learning",
        "environment": "gaussian_squeeze",
        "environment_options": {"num_agents": 3},
        "random": {"num": 4, "environment_numbers": {"sigma": sigma}},
        "search": {"kind": "optuna", "batch": 4},
    }
    with pytest.raises(ValueError, match="sigma"):
        variants(from_dict(squeeze))
    sigma["deviation"] = 0.5
    assert len(variants(from_dict(squeeze))) == 1


def test_cma_es_asks_for_no_choices():
    choice = {"kind": "choice", "values": [0.1, 0.2]}
    search = {"kind": "optuna", "batch": 4, "sampler": "cma-es"}
    with pytest.raises(ValueError, match=r"random\.learning_rate: expected a range, as cma-es"):
        told = {**SPEC["random"], "learning_rate": choice}
        variants(from_dict(SPEC | {"search": search, "random": told}))
