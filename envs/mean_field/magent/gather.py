"""Gather: a ring of hungry omnivores around a field of food, who can also kill each other.

gather_v5 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). Food takes several
bites; an omnivore dies of one. One step: all attacks in a random order, then all moves one by one,
in the order of MAgent (see `queue_order`). Rewards of a step add up in this order:

    step_reward; attack_penalty for an attack, kill_reward with it for finishing food;
    all replaced by death_reward for those killed; hit_reward for a bite that food survived
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, GREEN
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks
from jaxmarl_core.envs.mean_field.magent.grid import Cells
from jaxmarl_core.envs.mean_field.magent.kinds import kind
from jaxmarl_core.envs.mean_field.magent.render import Figure
from jaxmarl_core.envs.mean_field.magent.world import World, WorldState, beginning, check_options
from jaxmarl_core.errors import require
from jaxmarl_core.types import Actions, Key

OMNIVORE = kind(speed=3, attack_radius=1, view_radius=7)
PATTERN = 53  # cells along a side of the chequered field in the middle, whatever the map's size


@struct.dataclass
class Gather(World):
    """One group, "omnivore", of n agents that move up to three cells and bite the four neighbours.

    - observation: {"view": [n, 15, 15, C] f32, "features": [n, F] f32}, see `observation`; C is 5
      (wall, omnivore, its hp, food, its hp), and 7 with minimaps; F is id_bits + 34, and 2 more (x
      and y) with minimaps. Rows of the dead are zero.
    - action: [n] int32 in 0..32: 0-28 move, 14 stays, 29-32 bite up, left, right, down. The
      actions of the dead are ignored; others are not defined.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when no food or no omnivore is left;
      `max_steps` sets `last` alone.
    - state: [900] f32, an image [15, 15, 4] of the map in minimap bins, see `World`.
    - mean_action: [n, 33] f32, see `World`.
    - extras: "food" [] int32, how much is left; "killed" [] int32, omnivores killed so far;
      "team_figures", "eaten" and "losses" [1] each.
    """

    step_reward: float
    kill_reward: float
    death_reward: float
    attack_penalty: float
    hit_reward: float
    damage: float
    max_hp: float
    food_hp: float
    omnivores: Cells = struct.field(pytree_node=False)  # where they start
    food: Cells = struct.field(pytree_node=False)

    KINDS: ClassVar = {"omnivore": OMNIVORE}
    MOVES, ATTACKS = OMNIVORE.moves, OMNIVORE.attacks
    FIGURES = (Figure("omnivores", BLUE, "square"), Figure("food", GREEN, "diamond"))

    @property
    def sizes(self) -> dict[str, int]:
        return {"omnivore": len(self.omnivores), "food": len(self.food)}

    @property
    def full_hp(self) -> jax.Array:
        return jnp.where(self.group == 0, self.max_hp, self.food_hp).astype(jnp.float32)

    def initial(self, key: Key) -> WorldState:
        """Returns the state at the start of an episode, always the same."""
        return WorldState(**beginning(jnp.asarray(self.omnivores, jnp.int32), self.full_hp))

    def turn(
        self,
        state: WorldState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> WorldState:
        """Returns the state after attacks and moves."""
        fought = self.fight(state, actions, attack_order, self.damage)
        alive = state.alive & ~fought.killed
        after = self.move(state, actions, move_order, fought.hp, alive)
        return after.replace(reward=self._reward(state.alive, fought))

    def _reward(self, alive: jax.Array, fought: Attacks) -> jax.Array:
        n = self.num_agents
        alive, fought = jax.tree.map(lambda part: part[:n], (alive, fought))
        on_food = fought.victim >= n
        reward = jnp.full(n, self.step_reward, jnp.float32)
        finished = jnp.where(fought.killer & on_food, self.kill_reward, 0.0)
        reward = jnp.where(fought.struck, reward + (self.attack_penalty + finished), reward)
        reward = jnp.where(fought.killed, self.death_reward, reward)
        reward = jnp.where(fought.hit & on_food, reward + self.hit_reward, reward)
        return jnp.where(alive, reward, 0.0)

    def extras(self, state: WorldState, last: jax.Array) -> dict[str, Any]:
        survivors, food = self.survivors(state).astype(jnp.int32)
        killed, eaten = self.num_agents - survivors, len(self.food) - food
        figures = {"eaten": eaten[None], "losses": killed[None]}
        return {"food": food, "killed": killed, "team_figures": figures}

    def places(self, state: WorldState) -> jax.Array:
        return jnp.concatenate([state.position, np.array(self.food, np.int32)])


def gather(
    *,
    map_size: int = 200,
    num_omnivores: int | None = None,
    num_food: int | None = None,
    max_hp: float = 3.0,
    food_hp: float = 25.0,
    damage: float = 6.0,
    step_reward: float = -0.01,
    kill_reward: float = 5.0,
    death_reward: float = -1.0,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.5,
    max_steps: int = 500,
    move_priority: str = "queue",
    minimap: bool = False,
    id_bits: int = 0,
    observe_before_removal: bool = True,
) -> Gather:
    """Returns gather_v5 of MAgent2; by default 495 omnivores and 2272 pieces of food.

    Args:
      map_size: cells along a side, with the ring of wall; 20 or more. The published layout is
        scaled to it.
      num_omnivores: by default as many as the layout has, or fewer, spread over its places.
      num_food: likewise.
      max_hp: hp of omnivores, above 0.
      food_hp: hp of food, above 0.
      damage: hp that a bite takes, above 0.
      step_reward: for every living agent, every step.
      kill_reward: for the bite that finishes food.
      death_reward: for being killed.
      attack_penalty: for every attack, a number added: negative punishes.
      hit_reward: for a bite that leaves some of the food.
      max_steps: the time limit.
      move_priority: "queue", the order of MAgent, or "random", drawn every step.
      minimap: whether views have the minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31; none in the published game.
      observe_before_removal: whether observations are those of MAgent2, taken while those just
        killed are still listed: they get a last observation and count in the minimaps, and the
        last reward shown is one step old.

    Raises:
      ValueError: naming the argument.
    """
    check_options(
        20,
        map_size=map_size,
        max_steps=max_steps,
        id_bits=id_bits,
        move_priority=move_priority,
        damage=damage,
        max_hp=max_hp,
        food_hp=food_hp,
    )
    omnivores, food = layout(map_size)
    return Gather(
        step_reward=step_reward,
        kill_reward=kill_reward,
        death_reward=death_reward,
        attack_penalty=attack_penalty,
        hit_reward=hit_reward,
        damage=damage,
        max_hp=max_hp,
        food_hp=food_hp,
        map_size=map_size,
        omnivores=_spread("num_omnivores", omnivores, num_omnivores),
        food=_spread("num_food", food, num_food),
        max_steps=max_steps,
        move_priority=move_priority,
        minimap=minimap,
        id_bits=id_bits,
        observe_before_removal=observe_before_removal,
    )


def layout(map_size: int) -> tuple[Cells, Cells]:
    """Returns the cells of omnivores and of food as published, scaled to the map.

    Omnivores stand on three outer squares around the middle; food on ten inner ones, and in
    chequered blocks of 2 x 2. Places that fall outside or on one already taken are left out.
    """
    middle, taken = map_size // 2, set()

    def square(side: float, gap: int):
        half = int(side) // 2
        along = range(middle - half, middle + half + 1, gap)
        yield from ((x, y) for x in along for y in (middle - half, middle + half))
        yield from ((x, y) for y in along for x in (middle - half, middle + half))

    def free(places):
        for x, y in places:
            if 0 < x < map_size - 1 and 0 < y < map_size - 1 and (x, y) not in taken:
                taken.add((x, y))
                yield x, y

    rings = ((0.9, 3), (0.8, 4), (0.7, 6))
    omnivores = [cell for share, gap in rings for cell in free(square(map_size * share, gap))]
    rings = ((0.65, 10), (0.6, 10), (0.55, 10), (0.5, 4), (0.45, 3), (0.4, 1))
    squares = [(map_size * share, gap) for share, gap in rings]
    squares += [(map_size * 0.3 - less, 1) for less in (0, 2, 4, 6)]
    food = [cell for side, gap in squares for cell in free(square(side, gap))]
    filled = [i for i in range(PATTERN) if i % 4 >= 2]
    corner = middle - PATTERN // 2
    food += free((corner + j, corner + i) for i in filled for j in filled)
    return tuple(omnivores), tuple(food)


def _spread(field: str, places: Cells, number: int | None) -> Cells:
    number = len(places) if number is None else number
    room = f"in 1..{len(places)}, the places of the layout"
    require(1 <= number <= len(places), field, room, number)
    return tuple(places[i * len(places) // number] for i in range(number))
