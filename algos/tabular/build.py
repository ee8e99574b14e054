"""What the engine's phases work on: an environment's agents, as learners with a rule each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax

from jaxmarl_core.algos.tabular.rules import GameInfo, Rule, RuleBuilder
from jaxmarl_core.errors import require
from jaxmarl_core.functional.exploration import linear
from jaxmarl_core.play.wrappers import episodic
from jaxmarl_core.spaces import discrete, num_values
from jaxmarl_core.types import Environment, Group


class ShapesProgram(Protocol):
    """What the engine reads of a recipe's Config; the rest is for the recipe's rules."""

    @property
    def rollout_length(self) -> int: ...


def annealed_epsilon(hp: Any, step: jax.Array) -> jax.Array:
    """Returns epsilon [] after so many steps [] f32."""
    return linear(hp.epsilon, hp.final_epsilon, step / hp.anneal_steps)


Exploration = Callable[[Any, jax.Array], jax.Array]


class Learner(NamedTuple):
    """Agents who share a rule, their tables stacked: a group, or one informed player."""

    name: str
    group: str
    agents: slice  # of the group
    size: int
    info: GameInfo
    rule: Rule


class Built(NamedTuple):
    """What is made once of an environment and the rules of its agents."""

    env: Environment  # resets itself and counts episodes
    groups: dict[str, Group]
    learners: tuple[Learner, ...]
    num_players: int
    num_coins: int  # that players share
    informed: bool  # whether any rule is
    on_policy: bool  # whether any rule is
    exploration: Exploration
    rollout_length: int


def make_learners(env: Environment, rules: Mapping[str, RuleBuilder]) -> tuple[Learner, ...]:
    """Returns one learner for a group, or one for each of its agents if the rule is informed."""
    groups = env.groups
    num_actions = tuple(num_values(g.action) for g in groups.values() for _ in range(g.size))
    teams = tuple(g.team for g in groups.values() for _ in range(g.size))
    payoffs = getattr(env, "payoffs", None)
    learners, player = [], 0
    for name, group in groups.items():
        info = GameInfo(player, num_values(group.observation), num_actions, teams, payoffs)
        rule = rules[name](info)
        if rule.informed:
            for i in range(group.size):
                info = info._replace(player=player + i)
                label = name if group.size == 1 else f"{name}_{i}"
                learners.append(Learner(label, name, slice(i, i + 1), 1, info, rules[name](info)))
        else:
            learners.append(Learner(name, name, slice(None), group.size, info, rule))
        player += group.size
    return tuple(learners)


def build(
    env: Environment,
    config: ShapesProgram,
    rules: RuleBuilder | Mapping[str, RuleBuilder],
    exploration: Exploration = annealed_epsilon,
    name: str = "tabular",
) -> Built:
    """Returns what the phases of an update work on; arguments as in `tabular`."""
    groups = dict(env.groups)
    for owner, group in groups.items():
        for kind, space in (("observations", group.observation), ("actions", group.action)):
            discrete(space, name, owner, kind)
    if not isinstance(rules, Mapping):
        rules = dict.fromkeys(groups, rules)
    require(set(rules) == set(groups), "rules", f"one for each of {list(groups)}", list(rules))
    learners = make_learners(env, rules)
    return Built(
        env=episodic(env),
        groups=groups,
        learners=learners,
        num_players=len(learners[0].info.num_actions),
        num_coins=1 + max(learner.rule.coin for learner in learners),
        informed=any(learner.rule.informed for learner in learners),
        on_policy=any(learner.rule.on_policy for learner in learners),
        exploration=exploration,
        rollout_length=config.rollout_length,
    )
