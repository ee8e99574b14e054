"""The engine of tabular learners: what an agent knows is one row per state, learnt step by step.

Observations and actions are Discrete. An agent's memory is a table with a row for each thing it
may observe; a row is any pytree (values, a policy, visit counts). A `Rule` says what a row starts
as, how the agent acts in a state by its row, and how the row of the state it has just left changes.
One update plays `rollout_length` steps of one environment; there are no batches, so what runs in
parallel is runs: seeds, hyper-parameters, games.

Rules come in two kinds. One that minds its own action and reward only serves a whole group of
agents at once. An `informed` one sees everybody's actions, rewards and strategies, sits on the seat
of one player, and may keep tables over joint actions: [A_1, ..., A_N] in the order of the players,
which is groups in their order and the agents of a group by index. Either kind may `plan`: once an
update it then sees an agent's whole table, which a model of the world needs and a lesson does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.rates import RATES
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import linear, pick
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.trees import select
from jaxmarl_core.hparams import hparam
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Algorithm, Environment, Group, Key, Metrics, Policy, TimeStep

Row = Any  # a pytree of arrays: what an agent knows about one state


class Seat(NamedTuple):
    """Whose eyes a rule looks through, and what it may know of the game beforehand."""

    player: int  # its number among all players; the group's first, if the rule is not informed
    num_states: int  # it may observe
    num_actions: tuple[int, ...]  # of every player
    teams: tuple[int, ...]  # of every player
    payoffs: jax.Array | None  # [N, A_1, ..., A_N] f32 in a matrix game, else None


class Transition(NamedTuple):
    """What one agent learns from. The last five are for informed rules, None for others."""

    obs: jax.Array  # [] int32
    action: jax.Array  # [] int32
    reward: jax.Array  # [] f32
    discount: jax.Array  # [] f32, 0 where the agent's episode ended
    next_obs: jax.Array  # [] int32
    next_action: jax.Array | None  # [] int32, where the rule looks `ahead`, else None
    mask: jax.Array  # [A] bool, legal in obs
    next_mask: jax.Array  # [A] bool, legal in next_obs
    step: jax.Array  # [] int32, environment steps before this one
    key: Key  # the agent's own randomness
    joint: jax.Array | None = None  # [N] int32, everybody's action
    rewards: jax.Array | None = None  # [N] f32
    strategies: tuple[jax.Array, ...] | None = None  # N times [A_j], what they were drawn from
    masks: tuple[jax.Array, ...] | None = None  # N times [A_j] bool, legal in obs
    next_masks: tuple[jax.Array, ...] | None = None  # N times [A_j] bool


class Rule(NamedTuple):
    """How one agent learns and acts. Every function sees one row, of one agent, in one state."""

    first: Callable[[Key, Any], Row]  # (key, hparams): what a row starts as
    strategy: Callable[[Row, jax.Array, jax.Array], jax.Array]
    # (row, mask [A], exploration []) -> [A], what it draws from while it learns
    best: Callable[[Row, jax.Array], jax.Array]  # (row, mask) -> [A], and afterwards
    learn: Callable[[Row, Row, Transition, Any], tuple[Row, Metrics]]
    # (row of obs, row of next_obs, transition, hparams) -> new row of obs, metrics
    informed: bool = False
    ahead: bool = False  # the next action is chosen before this lesson is learnt (Sarsa)
    recommend: Callable[[Row], jax.Array] | None = None
    # row -> [A_1, ..., A_N]: what a referee draws the joint action from by a coin all players
    # share, each then playing its part with probability 1 - exploration; None: all draw apart
    plan: Callable[[Row, Any], Row] | None = None
    # (an agent's table, leaves [S, ...], hparams) -> the table, once after each update's lessons
    coin: int = 0  # the number of that coin: players with the same one draw alike


RuleBuilder = Callable[[Seat], Rule]


@dataclass(frozen=True)
class Config:
    """What shapes the program: environment steps an update, and how learning rates fall."""

    rollout_length: int = 64
    rate: str = "constant"  # a key of rates.RATES

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(RATES, self.rate, "rate")


@struct.dataclass
class Hparams:
    """Traced numbers; epsilon falls linearly over the first `anneal_steps`."""

    learning_rate: float = hparam(0.1, 0.0, 1.0, "log")
    rate_period: float = hparam(1e5, 1.0, 1e12, "log")  # steps; see rates.py
    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(1.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    anneal_steps: float = hparam(3000.0, 1.0, 1e12, "log")


def annealed_epsilon(hp: Any, step: jax.Array) -> jax.Array:
    """Returns epsilon [] after so many steps [] f32."""
    return linear(hp.epsilon, hp.final_epsilon, step / hp.anneal_steps)


@struct.dataclass
class Params:
    """What the policy needs to act."""

    tables: dict[str, Row]  # unit -> leaves [n, S, ...]
    exploration: jax.Array  # [] f32


@struct.dataclass
class Chosen:
    """What the agents are about to do."""

    actions: dict[str, jax.Array]  # group -> [n] int32
    strategies: dict[str, jax.Array]  # group -> [n, A] f32, what they were drawn from


@struct.dataclass
class State:
    params: Params
    play: Play
    chosen: Chosen


class Unit(NamedTuple):
    """Agents who learn by one rule and share a table's shape: a group, or one informed player."""

    name: str
    group: str
    agents: slice  # of the group
    size: int
    seat: Seat
    rule: Rule


def _units(env: Environment, rules: Mapping[str, RuleBuilder]) -> list[Unit]:
    groups = env.groups
    num_actions = tuple(g.action.num_values for g in groups.values() for _ in range(g.size))
    teams = tuple(g.team for g in groups.values() for _ in range(g.size))
    payoffs = getattr(env, "payoffs", None)
    units, player = [], 0
    for name, group in groups.items():
        seat = Seat(player, group.observation.num_values, num_actions, teams, payoffs)
        rule = rules[name](seat)
        if rule.informed:
            for i in range(group.size):
                seat = seat._replace(player=player + i)
                label = name if group.size == 1 else f"{name}_{i}"
                units.append(Unit(label, name, slice(i, i + 1), 1, seat, rules[name](seat)))
        else:
            units.append(Unit(name, name, slice(None), group.size, seat, rule))
        player += group.size
    return units


def _mask(group: Group, timestep: TimeStep, name: str) -> jax.Array:
    every = jnp.ones((group.size, group.action.num_values), bool)
    return timestep.action_mask.get(name, every)


def _rows(table: Row, obs: jax.Array) -> Row:
    """Returns each agent's row of what it observes: leaves [n, S, ...] and [n] -> [n, ...]."""
    if all(leaf.shape[1] == 1 for leaf in jax.tree.leaves(table)):
        return jax.tree.map(lambda leaf: leaf[:, 0], table)  # no gather: the row may be large
    return jax.tree.map(lambda leaf: jax.vmap(lambda rows, s: rows[s])(leaf, obs), table)


def _written(table: Row, obs: jax.Array, rows: Row) -> Row:
    """Returns the table with each agent's row of what it observes replaced."""
    if all(leaf.shape[1] == 1 for leaf in jax.tree.leaves(table)):
        return jax.tree.map(lambda row: row[:, None], rows)
    put = jax.vmap(lambda rows, s, row: rows.at[s].set(row))
    return jax.tree.map(lambda leaf, row: put(leaf, obs, row), table, rows)


def _part(unit: Unit, rows: Row, draw: jax.Array) -> jax.Array:
    """Returns the player's part [1] of the joint action that a shared number [] draws."""
    joint = unit.rule.recommend(jax.tree.map(lambda x: x[0], rows))
    number = pick(draw, joint.reshape(-1))
    return jnp.stack(jnp.unravel_index(number, joint.shape))[unit.seat.player][None]


def tabular(
    env: Environment,
    config: Config,
    rules: RuleBuilder | Mapping[str, RuleBuilder],
    hparams: Any = None,
    exploration: Callable[[Any, jax.Array], jax.Array] = annealed_epsilon,
) -> Algorithm:
    """Returns the learner.

    Args:
      env: with Discrete observations and actions in every group.
      config: what shapes the program.
      rules: how agents learn: one way for all, or by group.
      hparams: the defaults, with the fields that `rules` and `exploration` read; None: `Hparams()`.
      exploration: maps (hparams, steps played [] f32) to the number [] that strategies explore by:
        an epsilon, or a temperature.

    Raises:
      ValueError: a group's observations or actions are not Discrete, or a group has no rule.
    """
    groups = dict(env.groups)
    for name, group in groups.items():
        for kind, space in (("observations", group.observation), ("actions", group.action)):
            if not isinstance(space, Discrete):
                raise ValueError(f'tabular: needs discrete {kind}, group "{name}" has {space}')
    if not isinstance(rules, Mapping):
        rules = dict.fromkeys(groups, rules)
    require(set(rules) == set(groups), "rules", f"one for each of {list(groups)}", list(rules))
    units = _units(env, rules)
    informed, ahead = (any(getattr(u.rule, flag) for u in units) for flag in ("informed", "ahead"))
    num_players = len(units[0].seat.num_actions)
    num_coins = 1 + max(unit.rule.coin for unit in units)
    world = episodic(env)

    def masks(timestep):
        return {name: _mask(group, timestep, name) for name, group in groups.items()}

    def choose(params, key, timestep, learning):
        draws = jax.random.uniform(key, (num_players + num_coins,))
        draws, coins = draws[:num_players], draws[num_players:]
        legal, actions, strategies = masks(timestep), {}, {}
        for unit in units:
            rows = _rows(params.tables[unit.name], timestep.observation[unit.group][unit.agents])
            mask = legal[unit.group][unit.agents]
            draw = draws[unit.seat.player :][: unit.size]
            explore = params.exploration if learning else 0.0
            if learning:
                strategy = jax.vmap(unit.rule.strategy, (0, 0, None))(rows, mask, explore)
            else:
                strategy = jax.vmap(unit.rule.best)(rows, mask)
            if unit.rule.recommend:
                aside = pick(draw / jnp.maximum(explore, 1e-9), mask.astype(jnp.float32))
                action = jnp.where(draw < explore, aside, _part(unit, rows, coins[unit.rule.coin]))
            else:
                action = pick(draw, strategy)
            actions.setdefault(unit.group, []).append(action)
            strategies.setdefault(unit.group, []).append(strategy)
        merged = lambda parts: {name: jnp.concatenate(part) for name, part in parts.items()}
        return Chosen(merged(actions), merged(strategies))

    def everybodys(by_group):
        """Returns a tuple over all players."""
        return tuple(by_group[name][i] for name, g in groups.items() for i in range(g.size))

    def news(before, chosen, after):
        """Returns what informed rules are told beside their own affairs."""
        if not informed:
            return (None,) * 5
        return (
            jnp.stack(everybodys(chosen.actions)),
            jnp.stack(everybodys(after.reward)),
            everybodys(chosen.strategies),
            everybodys(masks(before)),
            everybodys(masks(after)),
        )

    def learn(unit, key, table, before, chosen, after, following, step, told, hp):
        """Returns the unit's table after a step, and its metrics."""
        own = lambda by_group: by_group[unit.group][unit.agents]
        seen = Transition(
            own(before.observation),
            own(chosen.actions),
            own(after.reward),
            own(after.discount),
            own(after.observation),
            own(following.actions) if ahead else None,
            own(masks(before)),
            own(masks(after)),
            step,
            jax.random.split(jax.random.fold_in(key, unit.seat.player), unit.size),
            *(told if unit.rule.informed else (None,) * 5),
        )
        axes = Transition(*[0] * 5, 0 if ahead else None, 0, 0, None, 0, *[None] * 5)
        rows, next_rows = _rows(table, seen.obs), _rows(table, seen.next_obs)
        learned, metrics = jax.vmap(unit.rule.learn, (0, 0, axes, None))(rows, next_rows, seen, hp)
        counts = own(before.alive) & ~before.last
        kept = jax.vmap(select)(counts, learned, rows)
        return _written(table, seen.obs, kept), {"reward": seen.reward} | metrics

    def planned(params, hp):
        tables = {
            unit.name: jax.vmap(unit.rule.plan, (0, None))(params.tables[unit.name], hp)
            for unit in units
            if unit.rule.plan
        }
        return params.replace(tables=params.tables | tables)

    def policy_by(learning):
        def act(params, key, timestep, memory):
            return choose(params, key, timestep, learning).actions, memory

        return act

    policy = Policy(memory=lambda: (), act=policy_by(True), greedy=policy_by(False))

    def init(key, hp):
        key_tables, key_play, key_act = jax.random.split(key, 3)
        tables = {}
        for i, unit in enumerate(units):
            keys = jax.random.split(
                jax.random.fold_in(key_tables, i), (unit.size, unit.seat.num_states)
            )
            first = jax.vmap(jax.vmap(unit.rule.first, (0, None)), (0, None))
            # Python numbers are weakly typed, what is learnt is not: a state keeps its types
            tables[unit.name] = jax.tree.map(lambda x: x.astype(x.dtype), first(keys, hp))
        params = Params(tables, jnp.asarray(exploration(hp, jnp.float32(0)), jnp.float32))
        play = begin(key_play, world, ())
        return State(params, play, choose(params, key_act, play.timestep, True))

    def update(key, state, hp, index):
        length = config.rollout_length

        def step(state, inputs):
            key, t = inputs
            key_act, key_env, key_learn = jax.random.split(key, 3)
            before, chosen = state.play.timestep, state.chosen
            env_state, after = world.step(key_env, state.play.env_state, chosen.actions)
            explore = jnp.asarray(exploration(hp, index * length + t + 1.0), jnp.float32)
            params = state.params.replace(exploration=explore)
            following = choose(params, key_act, after, True) if ahead else None
            told = news(before, chosen, after)
            tables, metrics = {}, {}
            for unit in units:
                tables[unit.name], found = learn(
                    unit,
                    key_learn,
                    params.tables[unit.name],
                    before,
                    chosen,
                    after,
                    following,
                    index * length + t,
                    told,
                    hp,
                )
                suffix = "" if len(units) == 1 else f"_{unit.name}"
                counts = ~before.last & jnp.ones(unit.size, bool)
                metrics |= {f"{name}{suffix}": (x, counts) for name, x in found.items()}
            params = params.replace(tables=tables)
            following = following if ahead else choose(params, key_act, after, True)
            play = Play(env_state, after, ())
            return State(params, play, following), (before, metrics)

        keys = jax.random.split(key, length)
        state, (timesteps, found) = jax.lax.scan(step, state, (keys, jnp.arange(length)))
        state = state.replace(params=planned(state.params, hp))
        metrics = {name: masked_mean(x.astype(jnp.float32), c) for name, (x, c) in found.items()}
        metrics |= {"exploration": state.params.exploration}
        return state, metrics | episode_metrics(world, timesteps)

    return Algorithm(init, update, policy, hparams or Hparams(), config.rollout_length)
