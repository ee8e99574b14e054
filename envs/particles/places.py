"""What worlds share in which a team takes places that the landmarks give: formation and line."""

from abc import abstractmethod

import jax
from flax import struct

from jaxmarl_core.envs.particles.geometry import distances, everyone, features, relative
from jaxmarl_core.envs.particles.matching import Matching, match
from jaxmarl_core.envs.particles.render import Picture, picture
from jaxmarl_core.envs.particles.world import ParticleState, ParticleWorld

FAR = 2.0  # distances count up to here
ARRIVED = 0.05  # from one's place


@struct.dataclass
class PlacesWorld(ParticleWorld):
    """N agents, given to N places so that the distances sum to the least; see `ParticleWorld`.

    Agarwal et al., 2019, arXiv:1906.01202. A scenario says where the `places` are.

    - reward: minus the mean distance of agents from their places, each counted up to 2.
    - termination: with `terminate_on_success`, all within 0.05 of their places.
    """

    num_team: int = struct.field(pytree_node=False)
    terminate_on_success: bool = struct.field(pytree_node=False)

    @abstractmethod
    def places(self, state: ParticleState) -> jax.Array:
        """Returns the places to take, [N, 2]."""

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        landmarks = relative(state.position, state.landmark)
        return (features(state.velocity, state.position, landmarks),)

    def rewards(self, state: ParticleState) -> jax.Array:
        return everyone(-self._matching(state).clipped / self.num_team, self.num_team)

    def succeeded(self, state: ParticleState) -> jax.Array:
        return self.terminate_on_success & (self._matching(state).worst < ARRIVED)

    def picture(self, state: ParticleState) -> Picture:
        return picture(self.roles, self.bodies, target=self.places(state))

    def _matching(self, state: ParticleState) -> Matching:
        return match(distances(state.position, self.places(state)), FAR)
