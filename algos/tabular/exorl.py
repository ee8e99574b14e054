"""EXORL: answer the other player's strategy, leaning towards making it an equilibrium.

A best response alone cycles in self-play. The extended optimal response gives up a little of its
payoff where that makes the other's present strategy y nearer to a best response of its own:

    maximise over x:   x' Q_1 y - sigma (max over y' of x' Q_2 y' - x' Q_2 y)

which is a linear program. Both players' values are learnt from their rewards, y from the actions.
Against who stands still it is a best response up to sigma, against itself an equilibrium.

Suematsu & Hayashi, 2002, AAMAS.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.models import recency_weighted
from jaxmarl_core.algos.tabular.rates import Values, initial_values, q_update
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.stage import Solution
from jaxmarl_core.algos.tabular.wolf_phc import epsilon_soft
from jaxmarl_core.errors import require
from jaxmarl_core.recipes import decided, require_own, with_defaults
from jaxmarl_core.solvers.normal_form.mixtures import best_mixture
from jaxmarl_core.solvers.normal_form.tableau import OPTIMAL
from jaxmarl_core.types import Algorithm, Environment

HPARAMS = Hparams(learning_rate=1.0, first_value=0.0, sigma=0.1, forgetting=1.0)


@struct.dataclass
class Entry:
    values: Values  # q [2, A_1, A_2], of both players
    belief: jax.Array  # [A_j] f32, sums to 1: how the other one plays
    stage: Solution  # value [2]
    visits: jax.Array  # [] f32


def response(
    own: jax.Array,
    other: jax.Array,
    belief: jax.Array,
    sigma: jax.Array,
    mask: jax.Array,
    other_mask: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns the extended optimal response [A] and whether it was found [].

    Every answer b of the other is a linear function of x, of which the least is maximised:
    x' Q_1 y + sigma (x' Q_2 y - x' Q_2 e_b).

    Args:
      own: [A, B] f32, payoffs to the one who answers.
      other: [A, B] f32, to the other.
      belief: [B] f32, y.
      sigma: [] f32 >= 0.
      mask, other_mask: [A] and [B] bool, legal.
    """
    objectives = (own @ belief + sigma * (other @ belief))[None] - sigma * other.T  # [B, A]
    legal = jnp.where(other_mask, jnp.arange(len(other_mask)), jnp.argmax(other_mask))
    nothing = jnp.zeros((1, len(mask)), own.dtype)
    found = best_mixture(objectives[legal], nothing, mask)
    return found.probability, (found.status == OPTIMAL) & jnp.isfinite(objectives).all()


def rule(info: GameInfo, rate: str = "visits") -> Rule:
    """Returns the rule of one of two players.

    Raises:
      ValueError: there are not two players.
    """
    require(len(info.num_actions) == 2, "exorl", "two players", len(info.num_actions))
    me, you = info.player, 1 - info.player
    own_first = (lambda q: q) if me == 0 else (lambda q: q.swapaxes(1, 2))

    def init(key, hp):
        mine, yours = info.num_actions[me], info.num_actions[you]
        values = initial_values(info.num_actions, rate, players=(2,))
        values = dataclasses.replace(values, q=jnp.full_like(values.q, hp.first_value))
        value = jnp.full(2, hp.first_value, jnp.float32)
        stage = Solution(jnp.full(mine, 1 / mine), value, jnp.bool_(True))
        return Entry(values, jnp.full(yours, 1 / yours), stage, jnp.float32(0))

    def learn(entry, next_entry, t, hp):
        target = t.rewards + hp.gamma * t.discount * next_entry.stage.value
        values = q_update(entry.values, tuple(t.joint_action), target, hp, t.step, rate)
        visits = entry.visits + 1
        done = jax.nn.one_hot(t.joint_action[you], len(entry.belief))
        belief = epsilon_soft(
            recency_weighted(entry.belief, done, visits, hp.forgetting), t.masks[you], 0.0
        )
        q = own_first(values.q)
        x, solved = response(q[me], q[you], belief, hp.sigma, t.mask, t.masks[you])
        found = Solution(x, jnp.einsum("a,kab,b->k", x, q, belief), solved)
        stage = jax.tree.map(lambda new, old: jnp.where(solved, new, old), found, entry.stage)
        stage = stage._replace(solved=solved)
        return Entry(values, belief, stage, visits), {"solver_failure": ~solved}

    def strategy(entry, mask, epsilon):
        return epsilon_soft(entry.stage.strategy, mask, epsilon)

    return Rule(
        init, strategy, lambda entry, mask: strategy(entry, mask, 0.0), learn, informed=True
    )


def exorl(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns EXORL for both players.

    Raises:
      ValueError: there are not two players.
    """
    require_own("exorl", config, Config)
    config = with_defaults(config, rate="visits")
    return tabular(env, config, partial(rule, rate=decided(config.rate)), HPARAMS, name="exorl")
