"""The engine of tabular learners: an agent keeps one entry per state, learnt step by step.

Observations and actions are Discrete. An agent's memory is a table with an entry for each thing it
may observe; how an entry changes and what it makes the agent do is its `Rule`. One update plays
`rollout_length` steps of one environment; there are no batches, so what runs in parallel is runs:
seeds, hyper-parameters, games.

A step reads: `act`, the environment's step, `learn`. They are functions of what `build` makes of an
environment and its rules; `tabular` wires them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.build import (
    Built,
    Exploration,
    Learner,
    ShapesProgram,
    annealed_epsilon,
    build,
)
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.players import by_player, legal_actions
from jaxmarl_core.algos.tabular.rates import RATES, env_steps
from jaxmarl_core.algos.tabular.rules import (
    Entry,
    RuleBuilder,
    Table,
    Transition,
)
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import pick
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.trees import select
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics
from jaxmarl_core.types import Algorithm, Environment, Key, Metrics, Policy, TimeStep


@dataclass(frozen=True)
class Config:
    """What shapes the program: environment steps an update, and how learning rates fall."""

    rollout_length: int = 64
    rate: str | None = None  # a key of rates.RATES; None: the recipe's

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        if self.rate is not None:
            lookup(RATES, self.rate, "rate")


@struct.dataclass
class Params:
    """What the policy needs to act."""

    tables: dict[str, Table]  # learner -> leaves [n, S, ...]
    exploration: jax.Array  # [] f32


@struct.dataclass
class Decision:
    """What the agents are about to do."""

    actions: dict[str, jax.Array]  # group -> [n] int32
    strategies: dict[str, jax.Array]  # group -> [n, A] f32, what they were drawn from


@struct.dataclass
class State:
    params: Params
    play: Play
    decision: Decision


class Step(NamedTuple):
    """A step of all agents, as they learn from it."""

    before: TimeStep
    decision: Decision
    after: TimeStep
    next_decision: Decision | None  # where a rule is on-policy
    env_step: jax.Array  # [] f32, environment steps before this one, see rates.env_steps
    joint: tuple  # the last five fields of a Transition, the same for all informed rules


def read_entries(table: Table, obs: jax.Array) -> Entry:
    """Returns each agent's entry of what it observes: leaves [n, S, ...] and [n] -> [n, ...]."""
    if all(leaf.shape[1] == 1 for leaf in jax.tree.leaves(table)):
        return jax.tree.map(lambda leaf: leaf[:, 0], table)  # no gather: an entry may be large
    return jax.tree.map(lambda leaf: jax.vmap(lambda entries, s: entries[s])(leaf, obs), table)


def write_entries(table: Table, obs: jax.Array, entries: Entry) -> Table:
    """Returns the table with each agent's entry of what it observes replaced; its types stay."""
    entries = jax.tree.map(lambda leaf, entry: entry.astype(leaf.dtype), table, entries)
    if all(leaf.shape[1] == 1 for leaf in jax.tree.leaves(table)):
        return jax.tree.map(lambda entry: entry[:, None], entries)
    put = jax.vmap(lambda leaf, s, entry: leaf.at[s].set(entry))
    return jax.tree.map(lambda leaf, entry: put(leaf, obs, entry), table, entries)


def recommended_action(learner: Learner, entries: Entry, draw: jax.Array) -> jax.Array:
    """Returns the player's part [1] of the joint action that a shared number [] draws."""
    recommend = learner.rule.recommend
    assert recommend is not None  # or nobody would ask
    joint = recommend(jax.tree.map(lambda x: x[0], entries))
    chosen = pick(draw, joint.reshape(-1))
    return jnp.stack(jnp.unravel_index(chosen, joint.shape))[learner.info.player][None]


def act(built: Built, params: Params, key: Key, timestep: TimeStep, learning: bool) -> Decision:
    """Returns what every agent does, and what it was drawn from.

    Args:
      built: the learners.
      params: their tables.
      key: randomness, a number a player and one a shared coin.
      timestep: what the agents observe.
      learning: whether strategies explore, static; if not, they are greedy.
    """
    draws = jax.random.uniform(key, (built.num_players + built.num_coins,))
    draws, coins = draws[: built.num_players], draws[built.num_players :]
    legal, actions, strategies = legal_actions(built.groups, timestep), {}, {}
    for learner in built.learners:
        rule, obs = learner.rule, timestep.observation[learner.group][learner.agents]
        entries = read_entries(params.tables[learner.name], obs)
        mask = legal[learner.group][learner.agents]
        draw = draws[learner.info.player :][: learner.size]
        exploration = params.exploration if learning else 0.0
        if learning:
            strategy = jax.vmap(rule.strategy, (0, 0, None))(entries, mask, exploration)
        else:
            strategy = jax.vmap(rule.greedy)(entries, mask)
        if rule.recommend:
            other = pick(draw / jnp.maximum(exploration, 1e-9), mask.astype(jnp.float32))
            part = recommended_action(learner, entries, coins[rule.coin])
            action = jnp.where(draw < exploration, other, part)
        else:
            action = pick(draw, strategy)
        actions.setdefault(learner.group, []).append(action)
        strategies.setdefault(learner.group, []).append(strategy)
    merged = lambda parts: {name: jnp.concatenate(part) for name, part in parts.items()}
    return Decision(merged(actions), merged(strategies))


def joint_information(built: Built, before: TimeStep, decision: Decision, after: TimeStep) -> tuple:
    """Returns the last five fields of a Transition, the same for all informed rules."""
    if not built.informed:
        return (None,) * 5
    players = partial(by_player, built.groups)
    # after a discount of 0 nothing is paid; what stands there instead is nobody's
    paid = [jnp.where(d > 0, r, 0) for d, r in zip(*map(players, (before.discount, after.reward)))]
    return (
        jnp.stack(players(decision.actions)),
        jnp.stack(paid),
        players(decision.strategies),
        players(legal_actions(built.groups, before)),
        players(legal_actions(built.groups, after)),
    )


def transitions(built: Built, learner: Learner, key: Key, step: Step) -> Transition:
    """Returns what a learner's agents learn from; own fields have a leading axis n."""
    own = lambda by_group: by_group[learner.group][learner.agents]
    keys = jax.random.split(jax.random.fold_in(key, learner.info.player), learner.size)
    return Transition(
        own(step.before.observation),
        own(step.decision.actions),
        own(step.after.reward),
        own(step.after.discount),
        own(step.after.observation),
        own(step.next_decision.actions) if step.next_decision is not None else None,
        own(legal_actions(built.groups, step.before)),
        own(legal_actions(built.groups, step.after)),
        step.env_step,
        keys,
        *(step.joint if learner.rule.informed else (None,) * 5),
    )


def may_learn(learner: Learner, before: TimeStep) -> jax.Array:
    """Returns which agents a step teaches, [n] bool: those who decide or may still be paid."""
    own = lambda by_group: by_group[learner.group][learner.agents]
    return (own(before.alive) | (own(before.discount) > 0)) & ~before.last


def learn(
    built: Built, learner: Learner, key: Key, table: Table, step: Step, hp: Any
) -> tuple[Table, Metrics]:
    """Returns a learner's table after a step, and its metrics [n].

    Nothing is learnt from the step after an episode's last, which plays nothing. The dead learn
    what their one action is worth while more pay can come to them, and else nothing.
    """
    told = transitions(built, learner, key, step)
    on_policy = None if step.next_decision is None else 0
    axes = Transition._make((*[0] * 5, on_policy, 0, 0, None, 0, *[None] * 5))
    entries, next_entries = read_entries(table, told.obs), read_entries(table, told.next_obs)
    one = jax.vmap(learner.rule.learn, (0, 0, axes, None))
    learned, metrics = one(entries, next_entries, told, hp)
    kept = jax.vmap(select)(may_learn(learner, step.before), learned, entries)
    return write_entries(table, told.obs, kept), {"reward": told.reward} | metrics


def who_counts(learner: Learner, before: TimeStep) -> Callable[[str], jax.Array]:
    """Returns which agents a metric of a step is the mean over, by its name: [n] bool.

    Pay is a mean over all, the dead among them; what is told of learning, over those who decided.
    The step after an episode's last plays nothing, and counts for neither.
    """
    decided = before.alive[learner.group][learner.agents] & ~before.last
    everyone = jnp.broadcast_to(~before.last, decided.shape)
    return lambda name: everyone if name == "reward" else decided


def play_step(
    built: Built, state: State, key: Key, env_step: jax.Array, hp: Any
) -> tuple[State, tuple[TimeStep, dict[str, tuple[jax.Array, jax.Array]]]]:
    """Plays one step and learns from it.

    Args:
      built: the learners.
      state: before.
      key: randomness.
      env_step: [] f32, environment steps before this one.
      hp: hparams.

    Returns:
      The state afterwards; the time step the actions answered, and metric -> (values [n], whether
      each of them counts [n] bool).
    """
    key_act, key_env, key_learn = jax.random.split(key, 3)
    before = state.play.timestep
    env_state, after = built.env.step(key_env, state.play.env_state, state.decision.actions)
    exploration = jnp.asarray(built.exploration(hp, env_step + 1), jnp.float32)
    params = dataclasses.replace(state.params, exploration=exploration)
    decision = act(built, params, key_act, after, True) if built.on_policy else None
    joint = joint_information(built, before, state.decision, after)
    step = Step(before, state.decision, after, decision, env_step, joint)
    tables, metrics = {}, {}
    for learner in built.learners:
        table = params.tables[learner.name]
        tables[learner.name], found = learn(built, learner, key_learn, table, step, hp)
        suffix = "" if len(built.learners) == 1 else f"_{learner.name}"
        counts = who_counts(learner, before)
        metrics |= {f"{name}{suffix}": (x, counts(name)) for name, x in found.items()}
    params = dataclasses.replace(params, tables=tables)
    if decision is None:
        decision = act(built, params, key_act, after, True)
    return State(params, Play(env_state, after, ()), decision), (before, metrics)


def plan(built: Built, params: Params, hp: Any) -> Params:
    """Returns the params after the planning of those learners who do."""
    tables = {
        learner.name: jax.vmap(learner.rule.plan, (0, None))(params.tables[learner.name], hp)
        for learner in built.learners
        if learner.rule.plan
    }
    return dataclasses.replace(params, tables=params.tables | tables)


def init(built: Built, key: Key, hp: Any) -> State:
    """Returns the state before the first update."""
    key_tables, key_play, key_act = jax.random.split(key, 3)
    tables = {}
    for i, learner in enumerate(built.learners):
        shape = learner.size, learner.info.num_states
        keys = jax.random.split(jax.random.fold_in(key_tables, i), shape)
        entries = jax.vmap(jax.vmap(learner.rule.init, (0, None)), (0, None))
        # Python numbers are weakly typed, what is learnt is not: a state keeps its types
        tables[learner.name] = jax.tree.map(lambda x: x.astype(x.dtype), entries(keys, hp))
    params = Params(tables, jnp.asarray(built.exploration(hp, jnp.float32(0)), jnp.float32))
    play = begin(key_play, built.env, ())
    return State(params, play, act(built, params, key_act, play.timestep, True))


def update(
    built: Built, key: Key, state: State, hp: Any, index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after `rollout_length` steps and planning, and the means over the steps."""
    length = built.rollout_length

    def step(state, inputs):
        key, t = inputs
        return play_step(built, state, key, env_steps(index, length) + t, hp)

    keys = jax.random.split(key, length)
    state, (timesteps, found) = jax.lax.scan(step, state, (keys, jnp.arange(length)))
    state = dataclasses.replace(state, params=plan(built, state.params, hp))
    metrics = {name: masked_mean(x.astype(jnp.float32), c) for name, (x, c) in found.items()}
    metrics |= {"exploration": state.params.exploration}
    return state, metrics | episode_metrics(built.env, timesteps)


def tabular(
    env: Environment,
    config: ShapesProgram,
    rules: RuleBuilder | Mapping[str, RuleBuilder],
    hparams: Any = None,
    exploration: Exploration = annealed_epsilon,
    name: str = "tabular",
) -> Algorithm:
    """Returns the learner.

    Args:
      env: with Discrete observations and actions in every group.
      config: what shapes the program.
      rules: how agents learn: one way for all, or by group.
      hparams: the defaults, with the fields that `rules` and `exploration` read; None: `Hparams()`.
      exploration: maps (hparams, steps played [] f32) to the number [] that strategies explore by:
        an epsilon, or a temperature.
      name: what the algorithm is called in messages.

    Raises:
      ValueError: a group's observations or actions are not Discrete, or a group has no rule.
    """
    built = build(env, config, rules, exploration, name)

    def policy_act(learning, params, key, timestep, memory):
        return act(built, params, key, timestep, learning).actions, memory

    policy = Policy(
        memory=lambda: (), act=partial(policy_act, True), greedy=partial(policy_act, False)
    )
    return Algorithm(
        init=partial(init, built),
        update=partial(update, built),
        policy=policy,
        hparams=hparams or Hparams(),
        env_steps=config.rollout_length,
    )
