"""Counterfactual regret minimisation on Leduc poker, beside OpenSpiel's in C++ and in JAX.

CFR+, alternating, as a scan of our step; one game, and many games with payoffs of their own under
`vmap`. OpenSpiel is shown where `open_spiel` is installed.

    python -m jaxmarl_core.experiments.benchmarks.cfr
"""

import dataclasses
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxmarl_core.solvers.extensive_form import CFR_PLUS, cfr, exploitability, leduc_poker

ITERATIONS, REPEATS = 1000, 5


def per_second(run: Callable[[], object], iterations: int, repeats: int = REPEATS) -> float:
    """Returns iterations per second of the median run; the first, which compiles, is not timed."""
    run()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return iterations / statistics.median(seconds)


def ours(num_games: int) -> float:
    """Returns iterations per second, all games counted."""
    game = leduc_poker()
    scales = jnp.linspace(0.5, 2.0, num_games)
    payoffs = scales[:, None, None, None] * game.payoff

    def solve(payoff):
        return cfr(dataclasses.replace(game, payoff=payoff), ITERATIONS, CFR_PLUS).strategies

    program = jax.jit(solve if num_games == 1 else jax.vmap(solve))
    inputs = payoffs[0] if num_games == 1 else payoffs
    return per_second(lambda: program(inputs), num_games * ITERATIONS)


def openspiel_cpp() -> float:
    """Returns iterations per second of OpenSpiel's C++ CFR+."""
    pyspiel = importlib.import_module("pyspiel")
    solver = pyspiel.CFRPlusSolver(pyspiel.load_game("leduc_poker"))
    return per_second(lambda: [solver.evaluate_and_update_policy() for _ in range(20)], 20)


def openspiel_jax() -> float:
    """Returns iterations per second of OpenSpiel's JaxCFR (CFR+), its own loop of jitted steps."""
    pyspiel = importlib.import_module("pyspiel")
    module = importlib.import_module("open_spiel.python.jax.cfr.jax_cfr")
    solver = module.JaxCFR(pyspiel.load_game("leduc_poker"))

    def run():
        solver.multiple_steps(ITERATIONS)
        return solver.regrets, solver.averages  # to be waited for

    return per_second(run, ITERATIONS, repeats=3)


def main() -> None:
    """Prints the table."""
    game = leduc_poker()
    reached = exploitability(game, cfr(game, ITERATIONS, CFR_PLUS).strategies)
    print(f"CFR+ on Leduc, {game.num_infosets} infosets, on {jax.default_backend()}")
    print(f"exploitability after {ITERATIONS} iterations: {reached:.3g}")
    for num_games in (1, 16, 256) if jax.default_backend() == "cpu" else (1, 256, 4096):
        print(f"{f'ours, games: {num_games}':28}{ours(num_games):12,.0f} iterations/s", flush=True)
    if importlib.util.find_spec("pyspiel") is None:
        print("open_spiel is not installed")
        return
    for name, speed in (("OpenSpiel, C++", openspiel_cpp), ("OpenSpiel, JaxCFR", openspiel_jax)):
        print(f"{name:28}{speed():12,.0f} iterations/s", flush=True)


if __name__ == "__main__":
    main()
