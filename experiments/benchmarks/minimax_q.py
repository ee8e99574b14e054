"""Minimax-Q in Littman's soccer: many runs in one program, beside Python with scipy's solver.

An update is an entry of a table changed, and the linear program of its state solved again; both
players learn, two updates a step. Runs are vmapped over seeds and spread over the devices, on a CPU
one device a core. The Python side plays the same soccer, written out below, and calls HiGHS.

    python -m jaxmarl_core.experiments.benchmarks.minimax_q
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from jaxmarl_core import hparams as hp
from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.fixed import fixed
from jaxmarl_core.algos.tabular.minimax_q import HPARAMS, rule
from jaxmarl_core.envs import soccer
from jaxmarl_core.experiments.benchmarks import per_core
from jaxmarl_core.sweeps.batch import run_mesh, sharded
from jaxmarl_core.train import Schedule, make_train

NUM_RUNS = 128
ROLLOUT, UPDATES, REPEATS = 500, 8, 5
PYTHON_STEPS = 300


def ours(rules, num_learners: int, num_devices: int) -> tuple[float, float]:
    """Returns table updates per second of the median call, and the share of unsolved programs."""
    env = soccer(max_steps=None)
    algorithm = tabular(env, Config(ROLLOUT), rules, HPARAMS)
    _, resume = make_train(algorithm, env, Schedule(UPDATES))
    mesh = run_mesh(jax.devices()[:num_devices])
    rows = jax.tree.map(lambda leaf: jnp.repeat(leaf, NUM_RUNS), hp.table(algorithm.hparams))
    keys = jax.random.split(jax.random.key(0), NUM_RUNS)
    state = sharded(algorithm.init, mesh, (0, 0))(keys, rows)
    segment = sharded(resume, mesh, (0, 0, 0, None), donate=(1,))
    seconds, failed = [], []
    for i in range(REPEATS + 1):
        began = time.perf_counter()
        state, metrics = segment(keys, state, rows, jnp.int32(i * UPDATES))
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - began)
        failed.append(np.mean([x for name, x in metrics.items() if "solver_failure" in name]))
    updates = num_learners * NUM_RUNS * ROLLOUT * UPDATES
    return updates / statistics.median(seconds[1:]), float(np.mean(failed))


ROWS, COLUMNS, START = 4, 5, ((2, 1), (1, 3))
MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1), (0, 0))


def soccer_step(rng, cells, holder, actions):
    """Returns (cells, holder, reward to A) of a step of Littman's soccer, in plain Python."""
    cells = list(cells)
    for player in (0, 1) if rng.random() < 0.5 else (1, 0):
        row = cells[player][0] + MOVES[actions[player]][0]
        column = cells[player][1] + MOVES[actions[player]][1]
        goal = COLUMNS if player == 0 else -1
        if holder == player and column == goal and row in (1, 2):
            return START, int(rng.random() < 0.5), 1.0 - 2.0 * player
        if not (0 <= row < ROWS and 0 <= column < COLUMNS):
            continue
        if (row, column) == cells[1 - player]:
            holder = 1 - player if holder == player else holder
        else:
            cells[player] = (row, column)
    return tuple(cells), holder, 0.0


def maximin(payoff):
    """Returns (value, strategy) of the row player of payoff [5, 5], by HiGHS."""
    solved = linprog(
        np.array([0.0] * 5 + [-1.0]),
        A_ub=np.hstack([-payoff.T, np.ones((5, 1))]),
        b_ub=np.zeros(5),
        A_eq=np.array([[1.0] * 5 + [0.0]]),
        b_eq=[1.0],
        bounds=[(0, None)] * 5 + [(None, None)],
        method="highs",
    )
    pi = np.maximum(solved.x[:5], 0)
    return solved.x[5], pi / pi.sum()


def python(num_steps: int) -> float:
    """Returns table updates per second of minimax-Q in Python, both players learning."""
    rng = np.random.default_rng(0)
    tables = [{}, {}]  # state -> [q, value, strategy]
    cells, holder, alpha = START, 0, 1.0
    began = time.perf_counter()
    for _ in range(num_steps):
        state = cells, holder
        rows = [
            table.setdefault(state, [np.ones((5, 5)), 1.0, np.full(5, 0.2)]) for table in tables
        ]
        actions = [
            rng.integers(5) if rng.random() < 0.2 else rng.choice(5, p=row[2]) for row in rows
        ]
        cells, holder, reward = soccer_step(rng, cells, holder, actions)
        for player, row in enumerate(rows):
            own, other = actions[player], actions[1 - player]
            ahead = tables[player].get((cells, holder), (None, 1.0))[1]
            target = (reward if player == 0 else -reward) + 0.9 * ahead
            row[0][own, other] += alpha * (target - row[0][own, other])
            row[1], row[2] = maximin(row[0])
        alpha *= 0.01**1e-6
    return 2 * num_steps / (time.perf_counter() - began)


def measure() -> None:
    """Prints the table, of one device and of all there are."""
    num_devices = len(jax.devices())
    print(f"minimax-Q in 4 x 5 soccer, {NUM_RUNS} runs, {jax.default_backend()} x {num_devices}")
    plain = statistics.median(python(PYTHON_STEPS) for _ in range(3))
    print(f"{'Python, scipy (HiGHS), one run':38}{plain:12,.0f} updates/s", flush=True)
    cases = {"both learn": (rule, 2), "one learns, one at random": ({"A": rule, "B": fixed}, 1)}
    for name, (rules, num_learners) in cases.items():
        for devices in sorted({1, num_devices}):
            speed, failed = ours(rules, num_learners, devices)
            line = f"{name}, devices: {devices}"
            line = f"{line:38}{speed:12,.0f} updates/s{speed / plain:9,.0f}x"
            print(f"{line}   unsolved: {failed:.1e}", flush=True)


def main() -> None:
    """Prints the table, from a process of its own with a device for every core."""
    per_core.again("jaxmarl_core.experiments.benchmarks.minimax_q")


if __name__ == "__main__":
    measure() if per_core.is_worker() else main()
