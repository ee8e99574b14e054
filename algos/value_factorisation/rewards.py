"""What a step is rewarded with, agent by agent or as a team, and which steps enter the loss.

A sequence of T steps has T + 1 time steps, leaves [T + 1, B, ...]. The reward and the discount on
arriving at time step t + 1 belong to the action at t; where t is `last`, that action was ignored.
What the fallen are paid counts as anybody's pay: a team's reward is one number, whoever lives.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.learners.parameter_sharing import AgentStack, pay_while_it_comes, stack_groups
from jaxmarl_core.types import Environment, TimeStep


class Rewards(NamedTuple):
    """What T steps were rewarded with: k is N, each agent for itself, or 1, the team."""

    reward: jax.Array  # [T, B, k] f32
    discount: jax.Array  # [T, B, k] f32, 0 where the agent's or the team's episode truly ended
    in_loss: jax.Array  # [T, B, k] bool, whether the step enters the loss
    valid: jax.Array  # [T, B] bool, whether the environment took the step


ReadRewards = Callable[[TimeStep], Rewards]


def _all_agents(stacks: list[AgentStack], timestep: TimeStep) -> tuple[jax.Array, ...]:
    """Returns (reward [T, B, N], discount, alive before, valid)."""
    all_of = lambda by_group: jnp.concatenate([stack_groups(u, by_group, 2) for u in stacks], 2)
    reward = all_of(pay_while_it_comes(timestep.reward, timestep.discount))[1:]
    discount = all_of(timestep.discount)[1:]
    return reward, discount, all_of(timestep.alive)[:-1], ~timestep.last[:-1]


def own_rewards(stacks: list[AgentStack]) -> ReadRewards:
    """Returns what reads each agent's own reward."""

    def read(timestep):
        reward, discount, alive, valid = _all_agents(stacks, timestep)
        return Rewards(reward, discount, alive & valid[..., None], valid)

    return read


def shared_rewards(stacks: list[AgentStack]) -> ReadRewards:
    """Returns what reads, for each agent, the mean reward of its team."""
    teams = np.array([team for stack in stacks for team in stack.teams])
    same_team = (teams[:, None] == teams).astype(np.float32)
    share = same_team / same_team.sum(0)

    def read(timestep):
        reward, discount, alive, valid = _all_agents(stacks, timestep)
        return Rewards(reward @ share, discount, alive & valid[..., None], valid)

    return read


def team_reward(stacks: list[AgentStack]) -> ReadRewards:
    """Returns what reads the mean of all agents' rewards, while pay can come to one of them."""

    def read(timestep):
        reward, discount, alive, valid = _all_agents(stacks, timestep)
        in_loss = alive.any(-1, keepdims=True) & valid[..., None]
        return Rewards(
            reward.mean(-1, keepdims=True), discount.max(-1, keepdims=True), in_loss, valid
        )

    return read


def require_one_team(name: str, env: Environment) -> None:
    """Raises ValueError unless all agents win and lose together."""
    teams = {group: env.groups[group].team for group in env.groups}
    require(len(set(teams.values())) == 1, name, "an environment of one team", teams)
