"""Gradient ascent on one's own payoff: IGA, GIGA, GIGA-WoLF and PD-WoLF.

IGA steps along the exact gradient; in two-player, two-action games its strategies or their averages
reach an equilibrium. GIGA lets the step fall as 1 / sqrt(t) and has no regret in any game.
GIGA-WoLF runs a second, slower GIGA beside the first and pulls towards it, which makes the
strategies themselves converge where GIGA's circle. PD-WoLF steps along the exact gradient, further
while its movement speeds up. All know the payoffs and the others' strategies.

Singh, Kearns & Mansour, 2000, UAI; Zinkevich, 2003, ICML; Bowling, 2004, NIPS; Banerjee & Peng,
2003, AAMAS (PD-WoLF).
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, against_strategies, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.functional.projections import project
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


@struct.dataclass
class Hparams:
    """Traced numbers."""

    step_size: float = hparam(0.01, 0.0, 1e6, "log")  # in units of 1 / payoff
    start_spread: float = hparam(1.0, 0.0, 1.0)  # 0: start uniform; 1: anywhere on the simplex
    lose_ratio: float | None = hparam(None, 1.0, 1e6, "log")
    # wolf_iga: a losing step over a winning one


@struct.dataclass
class Entry:
    x: jax.Array  # [A] f32, the strategy
    slow: jax.Array  # [A] f32, GIGA-WoLF's second strategy; PD-WoLF's last gradient
    average: jax.Array  # [A] f32, of x over rounds
    rounds: jax.Array  # [] f32


def iga_step(entry: Entry, gradient: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (x, slow) after a step of constant size."""
    return project(entry.x + step * gradient), entry.slow


def giga_step(entry: Entry, gradient: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (x, slow) after a step that falls as 1 / sqrt(t)."""
    return project(entry.x + step / jnp.sqrt(entry.rounds + 1) * gradient), entry.slow


def giga_wolf_step(
    entry: Entry, gradient: jax.Array, step: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (x, slow): x overshoots by GIGA, then turns towards the slow one's new place.

    By min(1, |z' - z| / |z' - x^|) of the way: no further than the slow one itself moved.
    """
    step = step / jnp.sqrt(entry.rounds + 1)
    ahead, slow = project(entry.x + step * gradient), project(entry.slow + step / 3 * gradient)
    moved, gap = jnp.linalg.norm(slow - entry.slow), jnp.linalg.norm(slow - ahead)
    share = jnp.where(gap > 0, jnp.minimum(1.0, moved / jnp.where(gap > 0, gap, 1.0)), 0.0)
    return ahead + share * (slow - ahead), slow


def pd_wolf_step(
    entry: Entry, gradient: jax.Array, step: jax.Array, lose_ratio: float = 2.0
) -> tuple[jax.Array, jax.Array]:
    """Returns (x, gradient within the simplex): a step, or `lose_ratio` of them while it loses.

    It wins where the movement and its change have opposite directions, D (D - D_last) < 0: where it
    slows down. Movement is the gradient here, that is, the policy's change over its step size, so
    that changes of the step do not look like changes of the game.
    """
    movement = gradient - gradient.mean()
    wins = jnp.dot(movement, movement - entry.slow) < 0
    step = step * jnp.where(wins, 1.0, lose_ratio)
    return project(entry.x + step * movement), movement


def rule(info: GameInfo, step=iga_step) -> Rule:
    """Returns the rule that steps so."""
    count = info.num_actions[info.player]

    def init(key, hp):
        anywhere = jax.random.dirichlet(key, jnp.ones(count))
        x = (1 - hp.start_spread) / count + hp.start_spread * anywhere
        return Entry(x, x, x, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        x, slow = step(entry, against_strategies(info, t), hp.step_size)
        rounds = entry.rounds + 1
        return Entry(x, slow, entry.average + (x - entry.average) / rounds, rounds), {}

    return Rule(
        init, lambda entry, mask, e: entry.x, lambda entry, mask: entry.x, learn, informed=True
    )


def iga(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns infinitesimal gradient ascent with a finite step, for every player.

    For any number of actions; with two, a step moves half as far as in the paper, which moves the
    first action's probability by the difference of the two payoffs.
    """
    require_own("iga", config, Config)
    return repeated(env, config, rule, Hparams())


def giga(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns GIGA for every player."""
    require_own("giga", config, Config)
    return repeated(env, config, partial(rule, step=giga_step), Hparams(step_size=0.1))


def giga_wolf(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns GIGA-WoLF for every player."""
    require_own("giga_wolf", config, Config)
    return repeated(env, config, partial(rule, step=giga_wolf_step), Hparams(step_size=0.1))


def pd_wolf_iga(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns gradient ascent by policy-dynamics WoLF, for every player.

    A losing step is twice as long as a winning one; what the first round counts as is arbitrary.
    """
    require_own("pd_wolf_iga", config, Config)
    return repeated(env, config, partial(rule, step=pd_wolf_step), Hparams())
