"""Games in normal form solved per second: batches of ours, beside other libraries one by one.

Random games with payoffs from a standard normal. Ours are solved as one program of a whole batch;
the others' solvers take a game at a time, from Python, as they are meant to be called. What a peer
answered is compared with our value first: a fast wrong answer would flatter nobody. HiGHS comes
with scipy; nashpy, OpenSpiel and pygambit are shown where they are installed.

    python -m jaxmarl_core.experiments.benchmarks.solvers
"""

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from jaxmarl_core.experiments.benchmarks import per_core
from jaxmarl_core.solvers.normal_form import bimatrix_nash, correlated, lemke_howson, zero_sum
from jaxmarl_core.sweeps.batch import run_mesh, sharded

SIZES = (3, 10)
REPEATS = 5
SECONDS = 2.0  # that a peer solves games for

# ---- the others: a game [A, B], or payoffs [2, A, B], -> a figure to compare


def highs_zero_sum(payoff):
    """Returns the value, by the row player's linear program."""
    rows, columns = payoff.shape
    solved = linprog(
        np.append(np.zeros(rows), -1.0),
        A_ub=np.hstack([-payoff.T, np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
        method="highs",
    )
    return -solved.fun


def nashpy_zero_sum(payoff):
    """Returns the value, by nashpy's pair of linear programs."""
    row, column = importlib.import_module("nashpy").Game(payoff).linear_program()
    return row @ payoff @ column


def openspiel_zero_sum(payoff):
    """Returns the value, by OpenSpiel's pair of linear programs."""
    pyspiel = importlib.import_module("pyspiel")
    module = importlib.import_module("open_spiel.python.algorithms.lp_solver")
    game = pyspiel.create_matrix_game(payoff.tolist(), (-payoff).tolist())
    return module.solve_zero_sum_matrix_game(game)[2]


def gambit_game(payoffs):
    """Returns payoffs [2, A, B] as Gambit's game."""
    return importlib.import_module("pygambit").Game.from_arrays(*payoffs)


def gambit_zero_sum(payoff):
    """Returns the value, by Gambit's linear program in floating point."""
    gambit = importlib.import_module("pygambit")
    solved = gambit.nash.lp_solve(gambit_game(np.stack([payoff, -payoff])), rational=False)
    return float(solved.equilibria[0].payoff("1"))


def gain(payoffs, row, column):
    """Returns the most that a player could gain by another strategy."""
    to_row, to_column = payoffs[0] @ column, row @ payoffs[1]
    return max(np.max(to_row) - row @ to_row, np.max(to_column) - to_column @ column)


def nashpy_lemke_howson(payoffs):
    """Returns what an equilibrium found by nashpy leaves to be gained."""
    game = importlib.import_module("nashpy").Game(*payoffs)
    return gain(payoffs, *game.lemke_howson(initial_dropped_label=0))


def nashpy_vertices(payoffs):
    """Returns the number of equilibria, by enumeration."""
    return sum(1 for _ in importlib.import_module("nashpy").Game(*payoffs).vertex_enumeration())


def gambit_lcp(payoffs):
    """Returns what an equilibrium found by Gambit's Lemke-Howson leaves to be gained."""
    gambit = importlib.import_module("pygambit")
    solved = gambit.nash.lcp_solve(gambit_game(payoffs), rational=False, stop_after=1)
    row, column = (np.array([p for _, p in s]) for _, s in solved.equilibria[0].mixed_strategies())
    return gain(payoffs, row.astype(float), column.astype(float))


def highs_correlated(payoffs):
    """Returns the greatest sum of payoffs of a correlated equilibrium."""
    _, rows, columns = payoffs.shape
    no_gain = []
    for a, b in product(range(rows), range(rows)):
        line = np.zeros((rows, columns))
        line[a] = payoffs[0][b] - payoffs[0][a]
        no_gain.append(line.ravel())
    for a, b in product(range(columns), range(columns)):
        line = np.zeros((rows, columns))
        line[:, a] = payoffs[1][:, b] - payoffs[1][:, a]
        no_gain.append(line.ravel())
    total = payoffs.sum(0).ravel()
    solved = linprog(
        -total,
        A_ub=np.array(no_gain),
        b_ub=np.zeros(len(no_gain)),
        A_eq=np.ones((1, total.size)),
        b_eq=[1.0],
        method="highs",
    )
    return -solved.fun


# ---- ours: payoffs -> (a figure to compare, whether solved)


def our_zero_sum(payoff):
    """Returns the value."""
    solved = zero_sum(payoff)
    return solved.value, solved.converged


def our_lemke_howson(payoffs):
    """Returns what the equilibrium leaves to be gained."""
    solved = lemke_howson(payoffs)
    return solved.regret, solved.solved


def our_enumeration(payoffs):
    """Returns the number of extreme equilibria."""
    count = bimatrix_nash(payoffs).count
    return count, count > 0


def our_correlated(payoffs):
    """Returns the greatest sum of payoffs of a correlated equilibrium."""
    solved = correlated(payoffs, "utilitarian")
    return (solved.joint * payoffs.sum(0)).sum(), solved.converged


Task = tuple[int, Callable, dict[int, int], dict[str, Callable]]
TASKS: dict[str, Task] = {  # players' payoffs, ours, size -> games of a batch, theirs
    "zero-sum": (
        1,
        our_zero_sum,
        {3: 400_000, 10: 40_000},
        {
            "scipy": highs_zero_sum,
            "nashpy": nashpy_zero_sum,
            "pyspiel": openspiel_zero_sum,
            "pygambit": gambit_zero_sum,
        },
    ),
    "one equilibrium": (
        2,
        our_lemke_howson,
        {3: 40_000},
        {"nashpy": nashpy_lemke_howson, "pygambit": gambit_lcp},
    ),
    "one equilibrium, larger": (  # nashpy's numbers overflow there, and it may never return
        2,
        our_lemke_howson,
        {10: 4_000},
        {"pygambit": gambit_lcp},
    ),
    "all equilibria": (2, our_enumeration, {3: 40_000}, {"nashpy": nashpy_vertices}),
    "correlated": (2, our_correlated, {3: 20_000}, {"scipy": highs_correlated}),
}


def ours(solve: Callable, games: np.ndarray, num_devices: int) -> tuple[float, np.ndarray, float]:
    """Returns (games per second of the median call, figures [G], share unsolved)."""
    program = sharded(lambda game, _: solve(game), run_mesh(jax.devices()[:num_devices]), (0, None))
    on_device = jnp.asarray(games, jnp.float32)
    figures, solved = jax.block_until_ready(program(on_device, 0))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(program(on_device, 0))
        seconds.append(time.perf_counter() - began)
    unsolved = 1.0 - np.mean(np.asarray(solved))
    return len(games) / statistics.median(seconds), np.asarray(figures), float(unsolved)


def theirs(solve: Callable, games: np.ndarray) -> tuple[float, list[float]]:
    """Returns (games per second, figures)."""
    figures, began = [], time.perf_counter()
    while len(figures) < len(games) and time.perf_counter() - began < SECONDS:
        try:
            figures.append(float(solve(games[len(figures)])))
        except Exception:  # whatever a library does with a game it cannot solve
            figures.append(np.nan)
    return len(figures) / (time.perf_counter() - began), figures


def measure() -> Iterator[str]:
    """Yields the table, a line at a time."""
    rng = np.random.default_rng(0)
    num_devices = len(jax.devices())
    yield f"games solved per second, {jax.default_backend()} x {num_devices}"
    for task, (players, solve, batches, peers) in TASKS.items():
        for size, batch in batches.items():
            yield f"-- {task}, {size} x {size}"
            shape = (batch, size, size) if players == 1 else (batch, 2, size, size)
            games = rng.normal(size=shape).astype(np.float32).astype(np.float64)
            mine = {n: ours(solve, games, n) for n in sorted({1, num_devices})}
            best = 0.0
            for name, peer in peers.items():
                if importlib.util.find_spec(name) is None:
                    yield f"{name:28} not installed"
                    continue
                try:
                    peer(games[0])
                except ImportError as missing:  # a part that its package does not install
                    yield f"{name:28} not usable: {missing}"
                    continue
                speed, found = theirs(peer, games)
                best = max(best, speed)
                apart = ~(np.abs(np.array(found) - mine[1][1][: len(found)]) <= 1e-3)
                yield f"{name:28}{speed:12,.0f} games/s   {np.mean(apart):.1%} failed or differ"
            for devices, (speed, _, unsolved) in mine.items():
                line = f"{f'ours, devices: {devices}':28}{speed:12,.0f} games/s"
                yield f"{line}{speed / best:9,.0f}x the best   unsolved: {unsolved:.1e}"


def main() -> None:
    """Prints the table, from a process of its own with a device for every core."""
    per_core.again("jaxmarl_core.experiments.benchmarks.solvers")


if __name__ == "__main__":
    if per_core.is_worker():
        for line in measure():
            print(line, flush=True)
    else:
        main()
