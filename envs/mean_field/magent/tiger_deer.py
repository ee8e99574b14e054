"""Tiger and deer: tigers starve unless they eat, and are paid only for striking together.

tiger_deer_v4 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). One step: all
strikes in a random order, then deer recover and tigers go hungry, then all moves one by one, deer
before tigers and by index. A strike takes `damage` from a deer; the one that brings it below 0
kills it and feeds the striker at once. A tiger that hunger brings below 0 dies before it moves.

Rewards of a step are paid after the moves, to the dead as well:

    a deer: death_reward if killed, then attacked_reward for every strike that did not kill it
    a tiger: hunt_reward for every other tiger whose strike, like its own, hit the same deer

where a strike that kills is no hit: so the published engine has it, in which a kill is another
event. Two tigers that strike one deer earn 1 each, three earn 2 each; of two that strike a weak
deer the one kills it and eats, and neither is paid. The game ends when no deer or no tiger is left.

Walls and starting places are drawn anew for every episode.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.drawing import BROWN, GOLD
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks
from jaxmarl_core.envs.mean_field.magent.kinds import enemies, kind
from jaxmarl_core.envs.mean_field.magent.placement import random_places
from jaxmarl_core.envs.mean_field.magent.render import Figure
from jaxmarl_core.envs.mean_field.magent.world import World, WorldState, beginning, check_options
from jaxmarl_core.errors import require
from jaxmarl_core.types import Actions, Key

DEER = kind(speed=1, attack_radius=0, view_radius=1)
TIGER = kind(speed=1, attack_radius=1, view_radius=4)


@struct.dataclass
class TigerDeerState(WorldState):
    """Where the hunt stands. The deer come first."""

    walls: jax.Array  # [W, 2] int32 (x, y), within the ring


@struct.dataclass
class TigerDeer(World):
    """Two teams, "deer" (0) and "tiger" (1).

    - observation: {"view": [n, V, V, C] f32, "features": [n, F] f32}, see `observation`; V is 3 for
      deer, who see the four neighbours, and 9 for tigers; C is 5, and 7 with minimaps; F is id_bits
      + actions + 1, and 2 more (x and y) with minimaps. Rows of the dead are zero.
    - action: [n] int32; deer 0..4 move, 2 stays; tigers 0..8: 0-4 move, 2 stays, 5-8 strike up,
      left, right, down.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when no deer or no tiger is left;
      `max_steps` sets `last` alone.
    - state: [324] f32, an image [9, 9, 4] of the map in bins: the living deer and tigers over their
      number at the start, then the same weighted by hp as a fraction.
    - mean_action: [n, A] f32, see `World`.
    - extras: "killed" [] int32, deer killed so far; "starved" [] int32, tigers starved so far;
      "team_figures", "kills" and "losses" [2] each, of deer and of tigers.
    """

    hunt_reward: float
    death_reward: float
    attacked_reward: float
    damage: float
    supply: float
    deer_recovery: float
    tiger_recovery: float
    deer_hp: float
    tiger_hp: float
    num_deer: int = struct.field(pytree_node=False)
    num_tigers: int = struct.field(pytree_node=False)
    num_walls: int = struct.field(pytree_node=False)

    KINDS: ClassVar = {"deer": DEER, "tiger": TIGER}
    MOVES, ATTACKS = TIGER.moves, TIGER.attacks
    FIGURES = (Figure("deer", BROWN, "diamond"), Figure("tigers", GOLD, "square"))

    @property
    def sizes(self) -> dict[str, int]:
        return {"deer": self.num_deer, "tiger": self.num_tigers}

    @property
    def full_hp(self) -> jax.Array:
        return self._by_group(self.deer_hp, self.tiger_hp)

    def initial(self, key: Key) -> TigerDeerState:
        """Returns the state at the start of an episode: walls, deer and tigers at random."""
        free = jnp.asarray(~self.grid.border(True)[self.grid.inner])
        key_walls, key_agents = jax.random.split(key)
        walls, free = random_places(key_walls, self.num_walls, free, 1)
        position, _ = random_places(key_agents, self.num_agents, free, 1)
        return TigerDeerState(**beginning(position, self.full_hp), walls=walls)

    def turn(
        self,
        state: TigerDeerState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> TigerDeerState:
        """Returns the state after strikes, recovery and hunger, and moves."""
        foes = enemies(self.num_deer)
        fought = self.fight(state, actions, attack_order, self.damage, foes)
        hp = jnp.where(fought.killer, fought.hp + self.supply, fought.hp)
        hp = jnp.minimum(hp, self.full_hp)
        hp = jnp.minimum(hp + self._by_group(self.deer_recovery, self.tiger_recovery), self.full_hp)
        alive = state.alive & ~fought.killed & (hp >= 0)
        after = self.move(state, actions, move_order, hp, alive)
        return after.replace(reward=self._reward(fought))

    def _reward(self, fought: Attacks) -> jax.Array:
        # Added one by one, as the engine does: k * reward would round differently.
        most, n = len(TIGER.attacks), self.num_agents
        hits = (
            jnp.zeros(n, jnp.int32).at[jnp.where(fought.hit, fought.victim, n)].add(1, mode="drop")
        )  # of each deer
        others = jnp.where(fought.hit, hits[fought.victim] - 1, 0)
        reward = jnp.where(fought.killed, self.death_reward, 0.0).astype(jnp.float32)
        for count in range(most):
            reward = jnp.where(count < hits, reward + self.attacked_reward, reward)
            reward = jnp.where(count < others, reward + self.hunt_reward, reward)
        return reward

    def extras(self, state: TigerDeerState, last: jax.Array) -> dict[str, Any]:
        deer, tigers = self.survivors(state).astype(jnp.int32)
        killed, starved = self.num_deer - deer, self.num_tigers - tigers
        figures = {
            "kills": jnp.stack([jnp.zeros_like(killed), killed]),
            "losses": jnp.stack([killed, starved]),
        }
        return {"killed": killed, "starved": starved, "team_figures": figures}

    def wall(self, state: TigerDeerState, outside: bool = True) -> jax.Array:
        return self.grid.with_walls(self.grid.border(outside), state.walls)

    def _by_group(self, deer: float | jax.Array, tiger: float | jax.Array) -> jax.Array:
        return jnp.where(self.group == 0, deer, tiger).astype(jnp.float32)


def tiger_deer(
    *,
    map_size: int = 45,
    num_deer: int | None = None,
    num_tigers: int | None = None,
    num_walls: int | None = None,
    max_steps: int = 300,
    minimap: bool = False,
    move_priority: str = "queue",
    id_bits: int = 10,
    observe_before_removal: bool = True,
    hunt_reward: float = 1.0,
    death_reward: float = -1.0,
    attacked_reward: float = -0.1,
    damage: float = 1.0,
    supply: float = 8.0,
    deer_recovery: float = 0.2,
    tiger_recovery: float = -0.1,
    deer_hp: float = 5.0,
    tiger_hp: float = 10.0,
) -> TigerDeer:
    """Returns tiger_deer_v4 of MAgent2; by default 101 deer and 20 tigers.

    Args:
      map_size: cells along a side, with the ring of wall; 10 or more.
      num_deer: by default a twentieth of the map's cells.
      num_tigers: by default a hundredth of the map's cells.
      num_walls: cells of wall within the ring; by default 4 in 100 of the map's cells.
      max_steps: the time limit.
      minimap: whether views have the minimap channels and features the position.
      move_priority: "queue", the order of MAgent, or "random", drawn every step.
      id_bits: how many bits of its id an agent sees, 0..31.
      observe_before_removal: whether observations are those of MAgent2, taken while those just
        dead are still listed, with a last reward that is one step old.
      hunt_reward: for a tiger, for every other one that hit the same deer with it.
      death_reward: for a deer that is killed.
      attacked_reward: for a deer, for every strike that does not kill it.
      damage: hp that a strike takes, above 0.
      supply: hp that a tiger gains from a kill, 0 or more.
      deer_recovery: hp that deer regain every step, 0 or more.
      tiger_recovery: the same for tigers; below 0 it is hunger.
      deer_hp: hp of deer at the start and at most, above 0.
      tiger_hp: hp of tigers, likewise.

    Raises:
      ValueError: naming the argument.
    """
    check_options(
        10,
        map_size=map_size,
        max_steps=max_steps,
        id_bits=id_bits,
        move_priority=move_priority,
        damage=damage,
        deer_hp=deer_hp,
        tiger_hp=tiger_hp,
    )
    require(supply >= 0, "supply", "at least 0", supply)
    require(deer_recovery >= 0, "deer_recovery", "at least 0", deer_recovery)
    shares = {"num_walls": 0.04, "num_deer": 0.05, "num_tigers": 0.01}
    given = {"num_walls": num_walls, "num_deer": num_deer, "num_tigers": num_tigers}
    numbers, room = {}, (map_size - 2) ** 2
    for name, share in shares.items():
        asked = given[name]
        number = int(map_size**2 * share) if asked is None else asked
        least = int(name != "num_walls")
        require(least <= number <= room, name, f"in {least}..{room}, the cells left", number)
        numbers[name], room = number, room - number
    return TigerDeer(
        hunt_reward=hunt_reward,
        death_reward=death_reward,
        attacked_reward=attacked_reward,
        damage=damage,
        supply=supply,
        deer_recovery=deer_recovery,
        tiger_recovery=tiger_recovery,
        deer_hp=deer_hp,
        tiger_hp=tiger_hp,
        map_size=map_size,
        max_steps=max_steps,
        move_priority=move_priority,
        minimap=minimap,
        id_bits=id_bits,
        observe_before_removal=observe_before_removal,
        **numbers,
    )
