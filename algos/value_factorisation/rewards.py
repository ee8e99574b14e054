"""What is paid for a step, to each agent or to the team, and which rows of a sequence teach.

A sequence of T steps has T + 1 time steps, leaves [T + 1, B, ...]. The reward and the discount on
arriving at row t + 1 belong to the action at row t; where row t is `last`, that action was ignored.
What the dead are paid belongs to nobody.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.learners.parameter_sharing import AgentStack, stack_groups
from jaxmarl_core.types import Environment, TimeStep


class Payoff(NamedTuple):
    """What T steps paid, k payees: all agents, or their team alone."""

    reward: jax.Array  # [T, B, k] f32
    discount: jax.Array  # [T, B, k] f32, 0 where the payee's episode truly ended
    counts: jax.Array  # [T, B, k] bool, whether the step teaches
    valid: jax.Array  # [T, B] bool, whether the step was one of the world


Payoffs = Callable[[TimeStep], Payoff]


def _everybody(stacks: list[AgentStack], timestep: TimeStep) -> tuple[jax.Array, ...]:
    """Returns (reward of the living [T, B, N], discount, alive before, valid)."""
    all_of = lambda by_group: jnp.concatenate([stack_groups(u, by_group, 2) for u in stacks], 2)
    alive = all_of(timestep.alive)
    reward = jnp.where(alive[:-1], all_of(timestep.reward)[1:], 0)
    discount = all_of(timestep.discount) * alive
    return reward, discount[1:], alive[:-1], ~timestep.last[:-1]


def own_payoffs(stacks: list[AgentStack]) -> Payoffs:
    """Returns what each agent is paid."""

    def payoffs(timestep):
        reward, discount, alive, valid = _everybody(stacks, timestep)
        return Payoff(reward, discount, alive & valid[..., None], valid)

    return payoffs


def mates_payoffs(stacks: list[AgentStack]) -> Payoffs:
    """Returns the mean of what an agent's team is paid, to each of its agents."""
    teams = np.array([team for stack in stacks for team in stack.teams])
    mates = (teams[:, None] == teams).astype(np.float32)
    share = mates / mates.sum(0)

    def payoffs(timestep):
        reward, discount, alive, valid = _everybody(stacks, timestep)
        return Payoff(reward @ share, discount, alive & valid[..., None], valid)

    return payoffs


def team_payoffs(stacks: list[AgentStack]) -> Payoffs:
    """Returns the mean of what all agents are paid; their episode lasts while one of them lives."""

    def payoffs(timestep):
        reward, discount, alive, valid = _everybody(stacks, timestep)
        counts = alive.any(-1, keepdims=True) & valid[..., None]
        return Payoff(
            reward.mean(-1, keepdims=True), discount.max(-1, keepdims=True), counts, valid
        )

    return payoffs


def require_one_team(name: str, env: Environment) -> None:
    """Raises ValueError unless all agents win and lose together."""
    teams = {group: env.groups[group].team for group in env.groups}
    require(len(set(teams.values())) == 1, name, "an environment of one team", teams)
