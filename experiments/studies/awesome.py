"""AWESOME ends in the equilibrium against itself, and in a best response to who does not learn.

In self-play every player keeps to the equilibrium all have computed, in games with one equilibrium
and with several. Against opponents who draw from one strategy each, anywhere on the simplex, it
ends in the action that is best against it; where the opponent's strategy is too near the
equilibrium to be told from it, or its best reply hardly better, that takes longer than we wait, and
little is to be lost by it.

Conitzer & Sandholm, 2003, ICML; 2007, Machine Learning 67: theorems, and figures we have not read.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated.awesome import Config, Hparams, awesome, rule
from jaxmarl_core.algos.repeated.cross_play import by_player, stationary
from jaxmarl_core.algos.repeated.engine import Config as EngineConfig
from jaxmarl_core.algos.repeated.engine import entries, repeated
from jaxmarl_core.algos.repeated.equilibrium import agreed_equilibrium
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_time, percentage
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.report import svg

NUM_ROUNDS, SELF_ROUNDS, UPDATE = 150_000, 40_000, 1_000
SELF_PLAY = ("matching_pennies", "battle_of_the_sexes", "chicken", "shapley")
STATIONARY = ("matching_pennies", "tricky", "battle_of_the_sexes")
# By how much a best reply must be better, as a share of the payoffs' range, to count against us.
# The rule itself asks for n |A| eps = 4 eps of it; after 150,000 rounds eps is about .027.
CLEAR = 0.15
# Theorems about the limit, of which we see a finite part: nearly all runs.
NEARLY = 0.95


def self_play(name: str, num_seeds: int) -> jax.Array:
    """Returns [seeds] bool, whether both play the equilibrium in the end."""
    env = matrix_game(name, num_rounds=None)
    fair = agreed_equilibrium(env.payoffs).strategies

    def keep(state):
        players = entries(state)
        near = [jnp.abs(row.strategy - pi).max() < 1e-3 for row, pi in zip(players, fair)]
        return jnp.stack(near).all()

    return over_time(awesome(env, Config(UPDATE)), SELF_ROUNDS, num_seeds, keep)[:, -1]


def against_stationary(name: str, num_seeds: int) -> tuple[jax.Array, jax.Array]:
    """Returns what it forgoes [seeds, updates], and by how much a reply is best [seeds].

    Both as a share of the payoffs' range; the second beside the next best action.
    """
    env = matrix_game(name, num_rounds=None)
    algorithm = repeated(env, EngineConfig(UPDATE), by_player(rule, stationary()), Hparams())

    def keep(state):
        me, other = entries(state)
        worth = action_payoffs(env.payoffs[0], [me.strategy, other], 0)
        worth = worth / (env.payoffs[0].max() - env.payoffs[0].min())
        best, second = jax.lax.top_k(worth, 2)[0]
        return best - jnp.dot(me.strategy, worth), best - second

    forgone, lead = over_time(algorithm, NUM_ROUNDS, num_seeds, keep)
    return forgone, lead[:, -1]


def measure(num_seeds: int) -> Findings:
    """Returns the share of runs that end as the theorems say."""
    claims, drawn = [], {}
    for name in SELF_PLAY:
        settled = self_play(name, num_seeds)
        what = f"{name.replace('_', ' ')}, self-play: at the equilibrium"
        met = float(settled.mean()) >= NEARLY
        claims.append(Claim(what, "almost surely", "memory", percentage(settled), met))
    for name in STATIONARY:
        forgone, lead = against_stationary(name, num_seeds)
        drawn[name] = np.asarray(forgone)
        hits = forgone[:, -1] < 1e-3
        title = name.replace("_", " ")
        clear = hits[np.asarray(lead) > CLEAR]
        met = float(clear.mean()) >= NEARLY if clear.size else "no opponent was so clear"
        what = f"{title}, stationary opponent, best by {CLEAR}: best response"
        claims.append(Claim(what, "almost surely", "memory", percentage(clear), met))
        what = f"{title}, stationary opponent, any: at most {CLEAR} of the range short of it"
        near = forgone[:, -1] <= CLEAR
        met = float(near.mean()) >= NEARLY
        claims.append(Claim(what, "in the limit", "memory", percentage(near), met))
    return Findings(claims, picture(drawn))


def picture(drawn: dict[str, np.ndarray]) -> Figure:
    """Returns what is forgone over time: the mean over runs, and some of them."""
    panels = svg.grid(len(drawn), len(drawn), 1080, 320)
    for axes, (name, forgone) in zip(panels, drawn.items()):
        rounds = UPDATE * (1 + np.arange(forgone.shape[1])) / 1000
        axes.plot(rounds, forgone[:8].T, color=svg.PALETTE[5], lw=0.8)
        axes.plot(rounds, forgone.mean(0), color=svg.BLUE, lw=2)
        axes.set(title=name.replace("_", " "), xlabel="thousand rounds", ylim=(-0.02, None))
    panels[0].set_ylabel("short of the best response")
    return svg.figure_of(panels[0])


STUDY = Study(
    "AWESOME against itself and against who does not learn",
    "Conitzer & Sandholm, 2003",
    measure,
    published="theorems about the limit; figures we have not read. Here 40,000 rounds of "
    "self-play, 150,000 against others.",
    rule=f"in at least {100 * NEARLY:.0f} % of the runs.",
)
