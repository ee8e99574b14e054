"""MetaStrategy: lead if the other follows, answer it if it is stationary, and else be safe.

It asks three things of a learner: nearly the best response to opponents of a target class, here the
stationary ones; a good outcome in self-play; and never much less than the security value. It first
leads, by the mixed strategy that is best if the other replies to it; whoever does not get what a
leader should yields, sooner or later, and answers the other's frequencies. Then it settles: on
answering if the other seemed stationary, on leading if that paid, or else on answering; and it
retreats to its maximin strategy for a while whenever its average falls below what that secures.
Players know the payoffs and see actions.

Powers & Shoham, 2004, NIPS. A reconstruction: criteria, components and their order are the paper's
as we remember them; the lengths, tolerances, the test of stationarity and the recent average by
which a leader measures its lead are ours.
"""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.errors import require
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.normal_form.stackelberg import stackelberg
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum
from jaxmarl_core.types import Algorithm, Environment

LEADING, TRYING, SETTLED = range(3)  # phases


@struct.dataclass
class Hparams:
    """Traced numbers; rounds are at least 1."""

    tolerance: float = hparam(0.02, 0.0, 1.0)  # of averages, as a share of the payoffs' range
    leading: float = hparam(1000.0, 1.0, 1e9, "log")  # rounds of the first phase
    trying: float = hparam(4000.0, 1.0, 1e9, "log")  # and of the second
    block: float = hparam(100.0, 1.0, 1e9, "log")  # rounds between decisions to be safe
    yielding: float = hparam(0.001, 0.0, 1.0, "log")  # the chance a round to give up a bad lead
    recent: float = hparam(0.05, 0.0, 1.0, "log")  # a round's weight in the average of a lead
    drift: float = hparam(0.1, 0.0, 1.0)  # a stationary opponent's frequencies differ by less


@struct.dataclass
class Entry:
    phase: jax.Array  # [] int32
    left: jax.Array  # [] f32, rounds until it ends; when settled, until the next decision
    leads: jax.Array  # [] bool, or it answers
    safe: jax.Array  # [] bool, plays its maximin strategy whatever else
    early: jax.Array  # [A_other] f32, what the other did in the first phase
    counts: jax.Array  # [A_other] f32, and in all
    total: jax.Array  # [] f32, of payoffs
    recent: jax.Array  # [] f32, average of recent payoffs


def rule(info: GameInfo) -> Rule:
    """Returns the rule of one of two players.

    Raises:
      ValueError: there are not two players.
    """
    players = len(info.num_actions)
    require(players == 2, "meta_strategy", "two players", players)
    me, other = info.player, 1 - info.player
    mine, theirs = (p if me == 0 else p.T for p in (info.payoffs[me], info.payoffs[other]))
    lead = jax.jit(stackelberg)(jnp.stack([mine, theirs]))
    secure = jax.jit(zero_sum)(mine)
    solved = lead.solved & secure.converged
    spread = mine.max() - mine.min()

    def init(key, hp):
        nothing = jnp.zeros(info.num_actions[other])
        yes, no, zero = jnp.bool_(True), jnp.bool_(False), jnp.float32(0)
        left = jnp.float32(hp.leading)
        return Entry(jnp.int32(LEADING), left, yes, no, nothing, nothing, zero, lead.values[0])

    def answer(entry, mask):
        share = jnp.where(
            entry.counts.sum() > 0, entry.counts / jnp.maximum(entry.counts.sum(), 1), 0
        )
        worth = action_payoffs(info.payoffs[me], [share, share], me)
        return jax.nn.one_hot(jnp.argmax(jnp.where(mask, worth, -jnp.inf)), len(worth))

    def act(entry, mask, exploration=0.0):
        strategy = jnp.where(entry.leads, lead.leader, answer(entry, mask))
        return jnp.where(entry.safe, secure.row, strategy)

    def learn(entry, next_entry, t, hp):
        counts = entry.counts + jax.nn.one_hot(t.joint_action[other], len(entry.counts))
        total, left = entry.total + t.reward, entry.left - 1
        recent = entry.recent + hp.recent * (t.reward - entry.recent)
        pays = recent >= lead.values[0] - hp.tolerance * spread
        over = left <= 0

        gives_up = (entry.phase == TRYING) & ~pays & (jax.random.uniform(t.key) < hp.yielding)
        leads = entry.leads & ~gives_up
        early = jnp.where((entry.phase == LEADING) & over, counts, entry.early)
        late = counts - entry.early
        drift = jnp.abs(
            entry.early / jnp.maximum(entry.early.sum(), 1) - late / jnp.maximum(late.sum(), 1)
        )
        settles = (entry.phase == TRYING) & over
        leads = jnp.where(settles, leads & pays & (drift.max() >= hp.drift), leads)
        phase = jnp.minimum(entry.phase + over, SETTLED).astype(jnp.int32)

        floor = secure.value - hp.tolerance * spread
        decides = over & (phase == SETTLED)
        safe = jnp.where(decides, total < floor * counts.sum(), entry.safe)
        follows = jnp.where(phase == TRYING, hp.trying, hp.block)
        left = jnp.where(over, follows, left).astype(jnp.float32)
        entry = Entry(phase, left, leads, safe, early, counts, total, recent)
        return entry, {
            "leads": leads & ~safe,
            "safe": safe,
            "floor": floor,
            "solver_failure": ~solved,
        }

    return Rule(init, act, act, learn, informed=True)


def meta_strategy(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns MetaStrategy for both players."""
    require_own("meta_strategy", config, Config)
    return repeated(env, config, rule, Hparams())
