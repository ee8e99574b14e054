"""Asymmetric Q-learning: what is learnt by play is the best pure commitment, state by state.

The claim is that leader and follower learn the values of a Stackelberg equilibrium, which is worth
no less to the leader than any pure Nash equilibrium. It is tried on what can be solved exactly: a
random 3 x 3 game for every seed; `guarding_territory`, where who leads gives its plan away; and
grid games 1 and 3. Play is random, and the rate 1, as nothing is left to chance; gamma is 0.9, in
the random games 0.

Kononen, 2004, Web Intelligence and Agent Systems 2, for the claim; the figures are exact ones of
NumPy's enumeration and value iteration.
"""

import dataclasses
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular.asymmetric_q import Config, asymmetric_q
from jaxmarl_core.algos.tabular.stage import HPARAMS
from jaxmarl_core.envs import grid_game, guarding_territory
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, percentage
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import MarkovGame, backup, markov_game
from jaxmarl_core.sweeps.batch import pad, run_mesh, sharded
from jaxmarl_core.train import Schedule, make_train

SIZE, STEPS, MATRIX_STEPS = 3, 10_000, 300  # 9 joint actions: 300 draws leave none out
GAMMA = 0.9
CLOSE = 1e-3  # of a value's size
CASES = {  # name -> (where it learns, the world of its start)
    "guarding a territory": (guarding_territory(), guarding_territory()),
    "grid game 1": (grid_game(1, start="random", max_steps=50), grid_game(1)),
    "grid game 3": (grid_game(3, start="random", max_steps=50), grid_game(3)),
}
EXPLORE: dict[str, Any] = {"epsilon": 1.0, "final_epsilon": 1.0}


def pure_commitment(q: np.ndarray, leader: int, legal: np.ndarray) -> np.ndarray:
    """Returns what the best pure commitment in q [2, A, B] is worth to both [2], in NumPy."""
    follower, values = 1 - leader, []
    for action in range(q.shape[1 + leader]):
        replies = [
            cell
            for cell in product(range(q.shape[1]), range(q.shape[2]))
            if cell[leader] == action and legal[cell]
        ]
        if not replies:
            continue
        most = max(q[(follower, *cell)] for cell in replies)
        kind = [q[(slice(None), *cell)] for cell in replies if q[(follower, *cell)] == most]
        values.append(max(kind, key=lambda pair: pair[leader]))
    return max(values, key=lambda pair: pair[leader])


def best_pure_nash(q: np.ndarray, leader: int) -> float:
    """Returns the leader's best pure equilibrium value; -inf if there is none."""
    stable = (q[0] == q[0].max(axis=0)) & (q[1] == q[1].max(axis=1, keepdims=True))
    return float(np.where(stable, q[leader], -np.inf).max())


def planned(game: MarkovGame, leader: int) -> np.ndarray:
    """Returns both players' values [2] of the start, by value iteration with commitments."""
    value = np.zeros((2, game.num_states))
    legal = np.asarray(game.legal[0])[:, :, None] & np.asarray(game.legal[1])[:, None, :]
    step = jax.jit(lambda v: backup(game, v, GAMMA))
    for _ in range(12):  # no way is longer from where the games are on
        q = np.asarray(step(jnp.asarray(value, jnp.float32)))
        value = np.stack(
            [pure_commitment(q[:, s], leader, legal[s]) for s in range(game.num_states)], axis=1
        )
    return value[:, int(np.argmax(game.start))]


def in_random_games(num_seeds: int, leader: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns games [R, 2, 3, 3] and both players' values as learnt by play [R, 2]."""

    # any game that is no team's
    base = from_payoffs(np.stack([np.eye(SIZE), -np.eye(SIZE)]), num_rounds=None)

    def run(key):
        key_game, key_train = jax.random.split(key)
        payoffs = jax.random.normal(key_game, (2, SIZE, SIZE))
        env = dataclasses.replace(base, payoffs=payoffs)
        algorithm = asymmetric_q(env, Config(MATRIX_STEPS, rate="constant", leader=leader))
        train, _ = make_train(algorithm, env, Schedule(1))
        row = dataclasses.replace(HPARAMS, gamma=0.0, **EXPLORE)
        state, _ = train(key_train, row)
        return payoffs, state.params.tables["player_0"].stage.value[0, 0]

    mesh = run_mesh()
    keys = pad(jax.random.split(jax.random.key(leader), num_seeds), mesh.size)
    games, values = sharded(run, mesh, (0,))(keys)
    return np.asarray(games)[:num_seeds], np.asarray(values)[:num_seeds]


def in_state(name: str, num_seeds: int, leader: int) -> jax.Array:
    """Returns both players' values [R, 2] of a game's start as learnt by play."""
    env, world = CASES[name]
    start = int(np.argmax(world.start_distribution()))
    algorithm = asymmetric_q(env, Config(1000, rate="constant", leader=leader))

    def keep(state, metrics):
        return next(iter(state.params.tables.values())).stage.value[0, start]

    return over_seeds(algorithm, env, STEPS, num_seeds, keep, gamma=GAMMA, **EXPLORE)


def measure(num_seeds: int) -> Findings:
    """Returns how many runs learn exact values, and what leading is worth."""
    claims, drawn = [], []
    for leader in (0, 1):
        games, values = in_random_games(num_seeds, leader)
        every = np.ones((SIZE, SIZE), bool)
        exact = np.array([pure_commitment(q, leader, every) for q in games])
        hits = np.isclose(values, exact, rtol=CLOSE, atol=CLOSE).all(axis=1)
        what = f"random games, player {leader} leads: best pure commitment learnt"
        claims.append(Claim(what, "100 %", "exact", percentage(hits), bool(hits.all())))
        nash = np.array([best_pure_nash(q, leader) for q in games])
        some = np.isfinite(nash)
        no_less = values[some, leader] >= nash[some] - CLOSE
        what = f"random games, player {leader} leads: no less than its best pure Nash equilibrium"
        measured = f"{percentage(no_less)} of {some.sum()} games with one"
        claims.append(Claim(what, "always", "claim", measured, bool(no_less.all())))
        drawn.append((nash[some], values[some, leader]))
    for name, (_, world) in CASES.items():
        for leader in (0, 1):
            exact = planned(markov_game(world), leader)
            found = np.asarray(in_state(name, num_seeds, leader))
            hits = np.isclose(found, exact, rtol=CLOSE, atol=CLOSE).all(axis=1)
            what = f"{name}, player {leader} leads: runs with the exact values"
            claims.append(
                Claim(what, ", ".join(f"{v:g}" for v in exact.round(3)), "exact", percentage(hits),
                      bool(hits.all()))
            )  # fmt: skip
    return Findings(claims, picture(drawn))


def picture(drawn: list[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Returns what leading is worth beside the best pure equilibrium, a dot a game."""
    axes = svg.grid(1, 1, 520, 460)[0]
    for leader, (nash, value) in enumerate(drawn):
        axes.plot(nash, value, "o", ms=4, color=svg.PALETTE[leader], label=f"player {leader} leads")
    ends = [min(nash.min() for nash, _ in drawn), max(value.max() for _, value in drawn)]
    axes.plot(ends, ends, color=svg.INK, lw=0.6)
    axes.set_xlabel("the leader's best pure Nash equilibrium")
    axes.set_ylabel("learnt value of leading")
    axes.set_title("Random 3 x 3 games", pad=28)
    axes.legend(ncols=2, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return svg.figure_of(axes)


STUDY = Study(
    "Asymmetric Q-learning finds the best pure commitment",
    "Kononen, 2004",
    measure,
    published="that it converges, without a budget we know; exact values are from planning.",
    rule="every run has the exact values, to one per cent, or is worth no less.",
)
