"""Correlated Q-learning on three grid games: what four objectives, foes, friends and egoists score.

All learn off-policy, from random play at gamma 0.9, with rate 1 in the deterministic games 1 and 3
and the sample mean's in game 2. Then they play 10,000 moves from the corners: the mean score of a
game to either player, and the number of games. Where no game ends it is the score of all moves.

Greenwald & Hall, 2003, ICML; figures of Greenwald, Hall & Zinkevich, 2007, Brown University
CS-05-08. They learn for 200,000 steps from the corners. We begin anywhere, and stop when values of
these few states have settled: after 6,000 steps, 30,000 in game 2, 50,000 of cheaper learners. Who
is who is not told apart; in game 1, where only ties decide what is played, values are judged.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular import ce_q, friend_or_foe_q, q_learning
from jaxmarl_core.algos.tabular.engine import Config, Params, tabular
from jaxmarl_core.algos.tabular.fixed import fixed
from jaxmarl_core.algos.tabular.stage import HPARAMS
from jaxmarl_core.envs import grid_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, percentage
from jaxmarl_core.functional.trees import select
from jaxmarl_core.report import svg
from jaxmarl_core.sweeps.batch import pad, run_mesh, sharded
from jaxmarl_core.train import Schedule, make_train

MOVES = 10_000
STEPS = {1: 6_000, 2: 30_000, 3: 6_000}
MANY_STEPS = 50_000  # where no correlated equilibrium is solved for
RATE = {1: "constant", 2: "visits", 3: "constant"}
COMMON = ("utilitarian", "egalitarian", "plutocratic")  # all players solve the same program
LINEAR_PROGRAMS = (*COMMON, "libertarian")
RULES = {name: partial(ce_q.rule, objective=name) for name in LINEAR_PROGRAMS} | {
    "foe-Q": partial(friend_or_foe_q.rule, friends="none"),
    "friend-Q": partial(friend_or_foe_q.rule, friends="all"),
    "Q": q_learning.rule,
}
# (game, learner): both scores, the lower one first, and the number of games
PUBLISHED = {
    (1, "utilitarian"): (100, 100, 2500),
    (1, "egalitarian"): (100, 100, 2500),
    (1, "plutocratic"): (100, 100, 2500),
    (1, "libertarian"): (-1e4, -1e4, 0),
    (1, "friend-Q"): (-3239, -3239, None),
    (1, "Q"): (100, 100, 2500),
    (2, "utilitarian"): (50.4, 100, 3333),
    (2, "egalitarian"): (49.5, 100, 3333),
    (2, "plutocratic"): (50.3, 100, 3333),
    (2, "libertarian"): (49.9, 100, 3333),
    (2, "foe-Q"): (65.9, 67.4, 3011),
    (2, "friend-Q"): (-1e4, -1e4, 0),
    (3, "utilitarian"): (117, 117, 3333),
    (3, "egalitarian"): (117, 117, 3333),
    (3, "plutocratic"): (100, 125, 3333),
    (3, "libertarian"): (-25e4, -25e4, 0),
    (3, "foe-Q"): (120, 120, 3333),
    (3, "friend-Q"): (-25e4, -25e4, 0),
}
# In game 1 many joint actions are equally good, and players who choose among them each for itself
# score from 100 to a collision a move: figures of one such choice, which is not told.
ARBITRARY = {(1, "libertarian"), (1, "friend-Q"), (1, "Q")}
TIES = "each player's choice among equally good joint actions decides, and theirs is not told"
# What they learn does not hang on that: 100 discounted over the shortest way, for either.
START_VALUE = {("libertarian", 1): 72.9, ("friend-Q", 1): 72.9}
# half of 3333 games won by a coin: 3 points are two to three of its standard errors
POINTS, GAMES, RUNS = 3.0, 0.02, 0.9


def algorithms(game: int, learner: str):
    """Returns what learns, and what plays by its tables."""
    env = grid_game(game, start="random", max_steps=50)
    rule = partial(RULES[learner], rate=RATE[game])
    self_play = tabular(env, Config(1000), rule, HPARAMS)
    if learner not in COMMON:
        return env, self_play, self_play
    # one program is everybody's, and one learner is enough
    return (
        env,
        tabular(env, Config(1000), {"player_0": rule, "player_1": fixed}, HPARAMS),
        self_play,
    )


def scores(game: int, learner: str, num_seeds: int) -> tuple[np.ndarray, ...]:
    """Returns both players' scores [R, 2], the numbers of games [R], and start's values [R, 2]."""
    env, learning, self_play = algorithms(game, learner)
    num_updates = (STEPS[game] if learner in LINEAR_PROGRAMS else MANY_STEPS) // 1000
    train, _ = make_train(learning, env, Schedule(num_updates))
    row = dataclasses.replace(HPARAMS, gamma=0.9, epsilon=1.0, final_epsilon=1.0)
    world = grid_game(game)
    begun = int(np.argmax(world.start_distribution()))

    def run(key):
        key_train, key_play = jax.random.split(key)
        tables = train(key_train, row)[0].params.tables
        if learner in COMMON:
            tables = dict.fromkeys(tables, tables["player_0"])
        params = Params(tables, jnp.float32(0))

        def step(carry, key):
            state, total, games = carry
            key_act, key_env = jax.random.split(key)
            actions, _ = self_play.policy.greedy(params, key_act, world.observe(state), ())
            state = world.advance(key_env, state, actions)
            over = world.terminal(state)
            state_after = select(over, world.initial(key_env), state)
            return (state_after, total + state.reward, games + over), None

        start = world.initial(key_play), jnp.zeros(2), jnp.int32(0)
        (_, total, games), _ = jax.lax.scan(step, start, jax.random.split(key_play, MOVES))
        value = [_value(table, begun) for table in tables.values()]
        return total / jnp.maximum(games, 1), games, jnp.stack(value)

    mesh = run_mesh()
    keys = pad(jax.random.split(jax.random.key(game), num_seeds), mesh.size)
    found = sharded(run, mesh, (0,))(keys)
    score, games, value = (np.asarray(x)[:num_seeds] for x in found)
    return score, games, value


def _value(table, state: int) -> jax.Array:
    """Returns what a player [1, S] thinks the state is worth to itself."""
    if not hasattr(table, "stage"):  # Q-learning
        return table.q[0, state].max()
    return table.stage.value[0, state].max()  # in game 1 both are worth the same


def hits(found: np.ndarray, games: np.ndarray, published: tuple) -> np.ndarray:
    """Returns which runs [R] scored as published, whoever won."""
    *wanted, number = published
    near = np.abs(np.sort(found, axis=1) - wanted) <= np.maximum(POINTS, 0.01 * np.abs(wanted))
    played = number is None or np.abs(games - number) <= GAMES * number
    return np.asarray(near.all(axis=1) & played)


def told(found: np.ndarray, games: np.ndarray) -> str:
    """Returns the mean lower and higher score, and the mean number of games."""
    low, high = np.sort(found, axis=1).mean(axis=0)
    return f"{low:,.1f}, {high:,.1f} ({games.mean():,.0f} games)"


def measure(num_seeds: int) -> Findings:
    """Returns what every learner scores in every game, beside what was published."""
    claims, shares = [], {}
    for (game, learner), published in PUBLISHED.items():
        found, games, value = scores(game, learner, num_seeds)
        same = hits(found, games, published)
        if (game, learner) not in ARBITRARY:
            shares[game, learner] = float(same.mean())
        low, high, number = published
        expected = f"{low:,g}, {high:,g}" + (f" ({number:,} games)" if number is not None else "")
        measured = f"{told(found, games)}; as published in {percentage(same)} of the runs"
        met = TIES if (game, learner) in ARBITRARY else bool(same.mean() >= RUNS)
        claims.append(Claim(f"game {game}, {learner}", expected, "paper", measured, met))
        exact = START_VALUE.get((learner, game))
        if exact is not None:
            right = np.abs(value - exact).max(axis=1) < 0.1
            what = f"game {game}, {learner}: values of the start, in runs"
            met = bool(right.mean() >= RUNS)
            claims.append(Claim(what, f"{exact}, {exact}", "exact", percentage(right), met))
    return Findings(claims, picture(shares))


def picture(shares: dict[tuple[int, str], float]) -> Figure:
    """Returns the share of runs that score as published, by game and learner."""
    axes = svg.grid(1, 1, 900, 340)[0]
    for i, learner in enumerate(RULES):
        games = [game for game in STEPS if (game, learner) in shares]
        place = [game + 0.12 * (i - 3) for game in games]
        height = [shares[game, learner] for game in games]
        color = svg.PALETTE[i % len(svg.PALETTE)]
        axes.bar(place, height, 0.11, color=color, label=learner)
    axes.set_xticks(list(STEPS), [f"grid game {game}" for game in STEPS])
    axes.set_ylim(0, 1.05)
    axes.set_title("Share of runs that score as published", pad=28)
    axes.legend(ncols=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return svg.figure_of(axes)


STUDY = Study(
    "Correlated Q-learning on grid games",
    "Greenwald & Hall, 2003; Greenwald, Hall & Zinkevich, 2007",
    measure,
    published="200,000 steps of learning from the corners, 10,000 moves of play; the number of "
    "runs was not at hand.",
    rule=f"in at least {100 * RUNS:.0f} % of the runs both scores are within {POINTS:.0f} points "
    "or 1 %, and the number of games within 2 %.",
)
