"""Nash-Q on grid games 1 and 2: how often two players end on an equilibrium path together.

Two players learn from random play, begun anywhere: a Nash-Q learner takes the first equilibrium of
a stage game that Lemke & Howson's algorithm finds, the second, or the one that is best for itself;
a single agent ignores the other. Then both play what they learnt, from the corners, the likeliest
action of a state. Their path is an equilibrium if it is worth what the equilibria are: in game 1
97.03 to both, four steps without a collision; in game 2 98.01 to who goes through the centre and
49.005 to the other, who goes up.

Hu & Wellman, 2003, JMLR 4, tables 11 and 12, of 50 runs each. Their 5,000 episodes are about 40,000
steps. Which equilibrium is first depends on the order of labels in their program, which they do not
give; ours is that of the actions. A pair is therefore held against the published figure of its own
and against that with first and second exchanged, whichever is nearer.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular import nash_q, q_learning
from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.rules import GameInfo
from jaxmarl_core.algos.tabular.stage import HPARAMS
from jaxmarl_core.envs import grid_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, percentage
from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import MarkovGame, backup, markov_game

NUM_STEPS, GAMMA = 40_000, 0.99
NASH = {"first": "one_path", "second": "lemke_howson", "best": "lemke_howson"}  # and the finder
# per cent of runs in games 1 and 2
PUBLISHED = {
    ("single", "single"): (20, 50),
    ("single", "first"): (60, 54),
    ("single", "second"): (50, 62),
    ("single", "best"): (76, 38),
    ("first", "second"): (60, 64),
    ("first", "best"): (76, 78),
    ("second", "best"): (84, 36),
    ("best", "best"): (100, 42),
    ("first", "first"): (100, 68),
    ("second", "second"): (100, 90),
}
OTHER_LABEL = {"first": "second", "second": "first"}
VALUES = {1: [(97.0299, 97.0299)], 2: [(98.01, 49.005), (49.005, 98.01)]}  # of equilibria
PAPER_RUNS = 50


def learned(game: int, rules: Any, num_seeds: int) -> dict:
    """Returns every player's values, leaves [R, 1, S, ...]."""
    env = grid_game(game, start="random", max_steps=100)
    algorithm = tabular(env, Config(1000), rules, HPARAMS)
    keep = lambda state, metrics: {
        name: getattr(table, "values", table).q for name, table in state.params.tables.items()
    }
    numbers: dict[str, Any] = {"gamma": GAMMA, "epsilon": 1.0, "final_epsilon": 1.0}
    return over_seeds(algorithm, env, NUM_STEPS, num_seeds, keep, **numbers)


def solved(q: jax.Array, player: int, kind: str, game: MarkovGame) -> jax.Array:
    """Returns the likeliest action [S] by q [S, 2, 4, 4], or [S, 4] if single."""
    if kind == "single":
        return greedy(q, game.legal[player])
    info = GameInfo(player, game.num_states, game.num_actions, (0, 1), None)
    solve = partial(nash_q.solve, info, select=kind, find=NASH[kind])
    return greedy(jax.vmap(solve)(q, game.legal).strategy, game.legal[player])


def policies(game: int, table: MarkovGame, num_seeds: int) -> dict:
    """Returns (kind, player) -> what the player does [R, S].

    Play is random whoever learns, so that the values of first and second serve both players.
    """
    by_seat = lambda *kinds: {
        f"player_{i}": partial(nash_q.rule, select=kind, find=NASH[kind])
        for i, kind in enumerate(kinds)
    }
    either = learned(game, by_seat("first", "second"), num_seeds)
    values = {("first", i): either["player_0"] for i in (0, 1)}
    values |= {("second", i): either["player_1"] for i in (0, 1)}
    single = partial(q_learning.rule, rate="visits")
    for kind, rules in (("best", by_seat("best", "best")), ("single", single)):
        found = learned(game, rules, num_seeds)
        values |= {(kind, i): found[f"player_{i}"] for i in (0, 1)}

    def acts(kind, player):
        return jax.jit(jax.vmap(lambda q: solved(q[0], player, kind, table)))

    return {who: acts(*who)(q) for who, q in values.items()}


def worth(game: MarkovGame, first: jax.Array, second: jax.Array) -> jax.Array:
    """Returns what two pure policies [S] are worth to both players from the start, [2]."""
    states = jnp.arange(game.num_states)

    def sweep(value, _):
        return backup(game, value, GAMMA)[:, states, first, second], None

    value, _ = jax.lax.scan(sweep, jnp.zeros((2, game.num_states)), None, length=300)
    return value[:, jnp.argmax(game.start)]


def published_figures(pair: tuple[str, str], game: int) -> list[float]:
    """Returns the published share of runs of a pair, and of the pair with labels exchanged."""
    exchanged = tuple(OTHER_LABEL.get(kind, kind) for kind in pair)
    known = {tuple(sorted(each)): both[game - 1] / 100 for each, both in PUBLISHED.items()}
    found = [known[tuple(sorted(each))] for each in (pair, exchanged)]
    return sorted(set(found), key=found.index)


def agrees(found: float, published: float, num_seeds: int) -> bool:
    """Returns whether a share of runs is within three standard errors, of theirs and of ours."""
    variance = max(published * (1 - published), 0.02) / PAPER_RUNS + 0.25 / num_seeds
    return abs(found - published) <= 3 * variance**0.5


def measure(num_seeds: int) -> Findings:
    """Returns how many runs end on an equilibrium path, by game and pair."""
    claims, found = [], {}
    for game, equilibria in VALUES.items():
        table = markov_game(grid_game(game))
        acting = policies(game, table, num_seeds)
        value = jax.jit(jax.vmap(partial(worth, table)))
        for pair in PUBLISHED:
            reached = value(acting[pair[0], 0], acting[pair[1], 1])
            near = [jnp.all(jnp.abs(reached - jnp.array(v)) < 0.01, axis=1) for v in equilibria]
            hits = jnp.any(jnp.stack(near), axis=0)
            found[game, pair] = float(hits.mean())
            wanted = published_figures(pair, game)
            met = any(agrees(found[game, pair], each, num_seeds) for each in wanted)
            what = f"game {game}: {pair[0]} and {pair[1]}"
            published = " or ".join(f"{100 * each:.0f} %" for each in wanted)
            claims.append(Claim(what, published, "paper", percentage(hits), met))
    return Findings(claims, picture(found))


def picture(found: dict) -> Figure:
    """Returns bars of what was found, a ring where it was published."""
    axes = svg.grid(1, 1, 1000, 360)[0]
    x = np.arange(len(PUBLISHED))
    for i, game in enumerate(VALUES):
        place = x + 0.36 * (i - 0.5)
        bars = [found[game, pair] for pair in PUBLISHED]
        axes.bar(place, bars, 0.32, color=svg.PALETTE[i], label=f"grid game {game}")
        published = [both[i] / 100 for both in PUBLISHED.values()]
        axes.plot(place, published, "o", ms=6, mfc="white", mec=svg.INK)
    axes.plot([], [], "o", ms=6, mfc="white", mec=svg.INK, label="published, 50 runs")
    axes.set_xticks(x, ["\n".join(pair) for pair in PUBLISHED])
    axes.set_ylim(0, 1.05)
    axes.set_title("Share of runs that end on an equilibrium path", pad=28)
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return svg.figure_of(axes)


STUDY = Study(
    "Nash-Q on grid games: which equilibrium, and with whom",
    "Hu & Wellman, 2003",
    measure,
    published="50 runs of 5,000 episodes of learning, about 40,000 steps.",
    rule="within three standard errors, theirs and ours together, of the published figure or of "
    "that "
    "with first and second exchanged.",
)
