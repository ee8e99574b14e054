"""Predator-prey with signals: food to eat, forests to hide in, a leader who sees and speaks."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    beyond,
    distances,
    everyone,
    features,
    relative,
    without_self,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import GOLD, INK, LEAF, Picture, picture
from jaxmarl_core.envs.particles.world import (
    BAD,
    ParticleState,
    ParticleWorld,
    Role,
    require_count,
    settings,
)

NUM_WORDS = 4


@struct.dataclass
class SimpleWorldComm(ParticleWorld):
    """Tag with O obstacles, food and F forests. What all worlds share is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275 (code). Agents see each other where both are in one forest,
    or both in none; the leader sees everybody.

    - groups: "leader" (1, team 1), "adversaries" (A - 1, team 1), "agents" (G, team 0), in this
      order.
    - observation: velocity, position, relative positions of the landmarks (obstacles, food,
      forests) and of the others (0 where hidden); then adversaries: velocities of the agents (0
      where hidden), for each forest 1 inside and -1 outside, the leader's word of the step before
      (4); agents: the forests, then the velocities of the other agents.
    - action: the leader moves and says one of 4 words, Discrete(20) or Box(9); others move.
    - reward: an agent, -5 for every adversary that touches it, -2 `geometry.beyond`, +2 for food
      touched, -0.1 / 2 of the distance to the nearest food; adversaries, +5 for every pair (agent,
      adversary) that touch, -0.1 of the distance to the nearest agent.
    """

    num_good: int = struct.field(pytree_node=False)
    num_adversaries: int = struct.field(pytree_node=False)
    num_food: int = struct.field(pytree_node=False)
    num_forests: int = struct.field(pytree_node=False)

    landmark_spread = 0.9

    @property
    def roles(self) -> tuple[Role, ...]:
        places = self.bodies.num_obstacles + self.num_food + self.num_forests + self.num_agents - 1
        agent = 4 + 2 * places + self.num_forests + 2 * (self.num_good - 1)
        adversary = agent + 2 + NUM_WORDS
        return (
            Role("leader", 1, adversary, BAD, num_words=NUM_WORDS),
            Role("adversaries", self.num_adversaries - 1, adversary, BAD),
            Role("agents", self.num_good, agent),
        )

    @property
    def num_agents(self) -> int:
        return self.num_good + self.num_adversaries

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        num, first = self.num_agents, self.num_adversaries
        inside = self._touching(state, slice(0, num), slice(-self.num_forests or num, None))
        if not self.num_forests:
            inside = jnp.zeros((num, 0), bool)
        visible = self._visible(inside)[..., None]
        others = without_self(jnp.where(visible, relative(state.position, state.position), 0.0))
        prey = jnp.where(visible[:, first:], everyone(state.velocity[first:], num), 0.0)
        landmarks = relative(state.position, state.landmark)
        common = features(state.velocity, state.position, landmarks, others)
        forest = jnp.where(inside, 1.0, -1.0)
        word = everyone(state.message[0], first)
        hunters = features(common[:first], prey[:first], forest[:first], word)
        return (
            hunters[:1],
            hunters[1:],
            features(common[first:], forest[first:], without_self(prey[first:])),
        )

    def rewards(self, state: ParticleState) -> jax.Array:
        num, first = self.num_agents, self.num_adversaries
        good, food = slice(first, num), self._food
        prey = state.position[good]
        caught = 5 * self._touching(state, good, slice(0, first)).sum(axis=1)
        eaten = 2 * self._touching(state, good, food).sum(axis=1)
        meal = state.landmark[food.start - num : food.stop - num]
        hunger = 0.05 * distances(prey, meal).min(axis=1)
        chase = 0.1 * distances(state.position[:first], prey).min(axis=1)
        pay = -caught - 2 * beyond(prey) + eaten - hunger
        return jnp.concatenate([caught.sum() - chase, pay])

    def picture(self, state: ParticleState) -> Picture:
        kinds = (self.bodies.num_obstacles, self.num_food, self.num_forests)
        return picture(
            self.roles,
            self.bodies,
            landmark=np.repeat([INK, GOLD, LEAF], kinds, axis=0),
            shown=np.repeat([1.0, 1.0, 0.6], kinds),
            load=np.tile(np.array(INK), (self.num_agents, 1)),
            loaded=1.0 * (np.arange(self.num_agents) == 0),  # the leader wears a dark spot
        )

    @property
    def _food(self) -> slice:
        start = self.num_agents + self.bodies.num_obstacles
        return slice(start, start + self.num_food)

    def _touching(self, state: ParticleState, one: slice, other: slice) -> jax.Array:
        place = jnp.concatenate([state.position, state.landmark])
        radius = self.bodies.radius
        return distances(place[one], place[other]) < radius[one, None] + radius[other]

    def _visible(self, inside: jax.Array) -> jax.Array:
        # Whom agents see, [N, N]; `inside` [N, F] says who is in which forest.
        same_forest = jnp.any(inside[:, None] & inside, axis=-1)
        in_the_open = ~jnp.any(inside, axis=-1)
        is_leader = np.arange(self.num_agents) == 0
        return same_forest | (in_the_open[:, None] & in_the_open) | is_leader[:, None]


def simple_world_comm(
    *,
    num_good: int = 2,
    num_adversaries: int = 4,
    num_obstacles: int = 1,
    num_food: int = 2,
    num_forests: int = 2,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleWorldComm:
    """Returns predator-prey with food, forests and a leader.

    Args:
      num_good: prey, at least 1.
      num_adversaries: predators with their leader, at least 2.
      num_obstacles: large bodies in the way, 0 or more.
      num_food: at least 1.
      num_forests: places to hide, 0 or more.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_good", num_good)
    require_count("num_adversaries", num_adversaries, 2)
    require_count("num_obstacles", num_obstacles, 0)
    require_count("num_food", num_food)
    require_count("num_forests", num_forests, 0)
    return SimpleWorldComm(
        bodies=bodies(
            (num_adversaries, num_good),
            (0.075, 0.045),
            (num_obstacles, num_food, num_forests),
            (0.2, 0.03, 0.3),
            acceleration=(3.0, 4.0),
            max_speed=(1.0, 1.3),
            solid=True,
            num_obstacles=num_obstacles,
        ),
        num_good=num_good,
        num_adversaries=num_adversaries,
        num_food=num_food,
        num_forests=num_forests,
        **settings(max_steps, actions, integration),
    )
