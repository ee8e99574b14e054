"""What searches are for: as good a configuration for less, and schedules where constants fail."""

import numpy as np
import pytest

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.data import env_steps
from jaxmarl_core.store.tables import final, table
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import run

SQUEEZE = {
    "algorithm": "q_learning",
    "environment": "gaussian_squeeze",
    "environment_options": {
        "num_agents": 10, "num_actions": 10, "mu": 40.0, "sigma": 10.0, "max_steps": 50
    },
    "config": {"rollout_length": 50},
    "hparams": {"anneal_steps": 300.0, "gamma": 0.0},
    "seeds": 4,
    "updates": 81,
    "segment": 9,
    "grid": {
        "hparams": {
            "learning_rate": [0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.9],
            "final_epsilon": [0.02, 0.05, 0.1, 0.3],
        }
    },
}  # fmt: skip


def played(results):
    """All env steps of a sweep."""
    steps = env_steps(results)
    return steps[np.arange(len(steps)), results.num_updates_done].sum()


@pytest.mark.slow
def test_halving_finds_what_the_full_grid_finds_for_a_third_of_it(tmp_path):
    """Within 5 % of the grid's best, by the grid's own figures, for at most 35 % of its steps."""
    spec = from_dict(SQUEEZE)
    halved = from_dict(SQUEEZE | {"search": {"kind": "halving", "min_updates": 9, "eta": 3}})
    full = sweep_folder.read(run(spec, tmp_path / "full"))
    some = sweep_folder.read(run(halved, tmp_path / "some"))
    goal = objective(spec, full)
    rows = table(full, goal)
    chosen = table(some, goal)[0]
    (same,) = [row for row in rows if row["options"] == chosen["options"]]
    share = played(some) / played(full)
    print(
        f"grid's best {rows[0]['iqm']:.2f}, that of halving {same['iqm']:.2f}, rank {same['rank']} "
        f"of {len(rows)}, median {rows[len(rows) // 2]['iqm']:.2f}, {100 * share:.0f} % of steps"
    )
    assert same["iqm"] >= 0.95 * rows[0]["iqm"]
    assert share <= 0.35
    assert rows[len(rows) // 2]["iqm"] < 0.95 * rows[0]["iqm"]  # not any would have done


PACE = {
    "algorithm": "q_learning",
    "environment": "changing_pace:changing_pace",
    "environment_options": {"noise": 3.0, "period": 256, "half": 16384},
    "config": {"rollout_length": 64},
    "hparams": {"gamma": 0.0, "epsilon": 0.1, "final_epsilon": 0.1},
    "seeds": 4,
    "updates": 512,
    "segment": 8,
    "objective": "reward",
    "last": 1.0,  # of the whole run, or of an interval
    "random": {
        "num": 10,
        "learning_rate": {"kind": "log-uniform", "low": 0.003, "high": 1.0},
    },
}


@pytest.mark.slow
def test_a_population_beats_random_search_where_the_best_rate_moves(tmp_path):
    """At equal env steps, in each of four seeds: the best member against the best constant.

    See `changing_pace`: a rate near 1 is best in the first half and one near 0.01 in the second,
    so that the best constant is a compromise, which a schedule need not make.
    """
    random = sweep_folder.read(run(from_dict(PACE), tmp_path / "random"))
    search = {"kind": "population", "every": 8, "fraction": 0.3, "resample": 0.5}
    found = sweep_folder.read(run(from_dict(PACE | {"search": search}), tmp_path / "found"))
    assert played(random) == played(found)
    goal = objective(from_dict(PACE), random)
    best = []
    for results in (random, found):
        seeds = np.array([one["seed"] for one in results.runs])
        figures = final(results, goal)
        best.append([figures[seeds == seed].max() for seed in range(4)])
    print("best constants", np.round(best[0], 3), "best members", np.round(best[1], 3))
    assert (np.array(best[1]) > np.array(best[0])).all()
