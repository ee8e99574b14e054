"""Where a JaxMARL episode truly ended: its worlds fold time limits into `done`, here they are told.

| world | ends truly | is cut off |
| --- | --- | --- |
| MPE, Overcooked (both), storm (all three), coin game | never | at its number of steps |
| switch riddle | when somebody tells | at `max_steps` |
| SMAX | when a side is wiped out | at `max_steps` |
| JaxNav | for the agents that arrived or crashed | at `max_steps`, for the others |
| MABrax | when unhealthy | at `episode_length` |
| Hanabi, and any world not named here | whenever it is done | never |
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Transition(NamedTuple):
    """A step of a JaxMARL world."""

    world: Any
    before: Any  # its state
    actions: Any  # by agent
    after: Any


def truly_ended(step: Transition) -> jax.Array:
    """Returns whether an agent's part truly ended, if the episode is over now: [N] or [] bool."""
    for family in type(step.world).__mro__:
        if family.__name__ in RULES:
            return RULES[family.__name__](step)
    return jnp.bool_(True)


def _never(step: Transition) -> jax.Array:
    return jnp.bool_(False)


def _told(step: Transition) -> jax.Array:
    chosen = jnp.stack([step.actions[agent] for agent in step.world.agents])
    spoken = chosen == step.world.game_actions["TELL"]
    return (spoken & (jnp.arange(len(chosen)) == step.before.agent_in_room)).any()


def wiped_out(world: Any, state: Any) -> tuple[jax.Array, jax.Array]:
    """Returns whether all allies, and whether all enemies of SMAX are dead: two [] bools."""
    alive = getattr(state, "state", state).unit_alive
    return ~alive[: world.num_allies].any(), ~alive[world.num_allies :].any()


def _side_lost(step: Transition) -> jax.Array:
    allies, enemies = wiped_out(step.world, step.after)
    return allies | enemies


def _arrived_or_crashed(step: Transition) -> jax.Array:
    return step.after.goal_reached | step.after.move_term


def _unhealthy(step: Transition) -> jax.Array:
    return step.after.info["truncation"] == 0


RULES: dict[str, Callable[[Transition], jax.Array]] = {  # by the name of a class or a base
    "SimpleMPE": _never,
    "Overcooked": _never,
    "OvercookedV2": _never,
    "InTheGrid": _never,
    "InTheGrid_2p": _never,
    "InTheMatrix": _never,
    "CoinGame": _never,
    "SwitchRiddle": _told,
    "SMAX": _side_lost,
    "EnemySMAX": _side_lost,
    "JaxNav": _arrived_or_crashed,
    "MABraxEnv": _unhealthy,
}
