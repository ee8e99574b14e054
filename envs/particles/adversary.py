"""Physical deception: a team knows which landmark counts, and must not let a spy find out."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    distances,
    features,
    goal_place,
    one_hot,
    relative,
    without_self,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import Picture, picture
from jaxmarl_core.envs.particles.world import (
    BAD,
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    require_count,
    settings,
)


@struct.dataclass
class SimpleAdversary(ParticleWorld):
    """N agents, N landmarks and an adversary. The rest is told at `ParticleWorld`.

    Lowe et al., 2017, arXiv:1706.02275, "physical deception". Memory: the goal landmark, [] int32.

    - groups: "adversary" (1, team 1), "agents" (N, team 0), in this order.
    - observation: agents [2 + 2 N + 2 N], relative positions of the goal, of the landmarks and of
      all others; the adversary [4 N], the same without the goal.
    - reward: agents, the adversary's distance to the goal minus that of the nearest agent; the
      adversary, minus its distance.
    """

    num_good: int = struct.field(pytree_node=False)

    num_extra_draws = 1

    @property
    def roles(self) -> tuple[Role, ...]:
        size = 4 * self.num_good
        return Role("adversary", 1, size, BAD), Role(
            "agents", self.num_good, size + 2, common_reward=True
        )

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, jax.Array]:
        return landmark, choice(draws[0], self.num_good)

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        landmarks = relative(state.position, state.landmark)
        others = without_self(relative(state.position, state.position))
        goal = self._goal(state) - state.position
        everything = features(goal, landmarks, others)
        return everything[:1, 2:], everything[1:]

    def rewards(self, state: ParticleState) -> jax.Array:
        distance = distances(state.position, self._goal(state)[None])[:, 0]
        agents = distance[0] - distance[1:].min()
        return jnp.concatenate([-distance[:1], jnp.broadcast_to(agents, (self.num_good,))])

    def picture(self, state: ParticleState) -> Picture:
        return picture(self.roles, self.bodies, goal=one_hot(state.memory, self.num_good))

    def _goal(self, state: ParticleState) -> jax.Array:
        return goal_place(state.landmark, state.memory)


def simple_adversary(
    *,
    num_agents: int = 2,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> SimpleAdversary:
    """Returns physical deception.

    Args:
      num_agents: N, good agents and landmarks; one adversary is added.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_agents", num_agents)
    return SimpleAdversary(
        bodies=bodies((1, num_agents), (0.15, 0.15), (num_agents,), (0.08,)),
        num_good=num_agents,
        **settings(max_steps, actions, integration),
    )
