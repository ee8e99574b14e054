"""Adversarial pursuit: big slow predators tag small quick prey among random walls.

adversarial_pursuit_v4 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). A
predator covers 2 x 2 cells. A tag hurts nobody, so nobody dies and the order of tags is of no
matter. One step: all tags at once, then all moves one by one, predators before prey and by index.
Rewards of a step: a predator gets tag_penalty for trying and tag_reward for tagging a prey; a prey
gets tagged_reward from every predator that tagged it.

Walls and starting places are drawn anew for every episode. On maps of more than 99 x 99 cells the
published engine has another order of moves, which is left out.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, GOLD, RED
from jaxmarl_core.envs.mean_field.magent import observation as obs
from jaxmarl_core.envs.mean_field.magent.bodies import resolve_body_moves
from jaxmarl_core.envs.mean_field.magent.grid import disc, disc_mask
from jaxmarl_core.envs.mean_field.magent.kinds import Kind, group_index, kind
from jaxmarl_core.envs.mean_field.magent.moves import resolve_moves
from jaxmarl_core.envs.mean_field.magent.placement import random_places
from jaxmarl_core.envs.mean_field.magent.render import Figure
from jaxmarl_core.envs.mean_field.magent.world import World, WorldState, beginning, check_options
from jaxmarl_core.errors import require
from jaxmarl_core.types import Actions, Key

BODY = 2  # cells along a side of a predator
# A predator looks and tags around its middle, a corner of cells; its position is its upper left.
PREDATOR = Kind(disc(1), 1 + disc(2, inner=1, even=True), disc_mask(5, even=True))
PREY = kind(speed=1.5, attack_radius=0, view_radius=4)


@struct.dataclass
class PursuitState(WorldState):
    """Where the hunt stands. The predators come first, their positions are upper left cells."""

    walls: jax.Array  # [W, 2] int32 (x, y), within the ring
    tags: jax.Array  # [] int32, so far


@struct.dataclass
class AdversarialPursuit(World):
    """Two teams, "predator" (0) and "prey" (1).

    - observation: {"view": [n, V, V, C] f32, "features": [n, F] f32}, see `observation`; V is 10
      for predators and 9 for prey, C is 5, and 7 with minimaps; F is id_bits + actions + 1, and 2
      more (x and y) with minimaps. The window of a predator has its body on its four middle cells.
    - action: [n] int32; predators 0..12: 0-4 move, 2 stays, 5-12 tag a cell beside the body; prey
      0..8: move, 4 stays.
    - reward: [n] f32, see the module.
    - termination: none; `max_steps` sets `last` alone.
    - state: [243] f32, an image [9, 9, 3] of the map in bins: the shares of the predators, of the
      prey and of the walls that are there.
    - mean_action: [n, A] f32, see `World`.
    - extras: "tags" [] int32, prey tagged so far, once for every predator that did;
      "team_figures", "tags" [2], made by predators and by prey, who make none.
    """

    tag_reward: float
    tagged_reward: float
    tag_penalty: float
    num_predators: int = struct.field(pytree_node=False)
    num_prey: int = struct.field(pytree_node=False)
    num_walls: int = struct.field(pytree_node=False)

    KINDS: ClassVar = {"predator": PREDATOR, "prey": PREY}
    FIGURES = (
        Figure("predators", RED, "square"),
        Figure("prey", BLUE, "square"),
        Figure("tags", GOLD, "square"),
    )

    @property
    def sizes(self) -> dict[str, int]:
        return {"predator": self.num_predators, "prey": self.num_prey}

    @property
    def full_hp(self) -> jax.Array:
        return jnp.ones(self.num_agents, jnp.float32)

    def initial(self, key: Key) -> PursuitState:
        """Returns the state at the start of an episode: walls, predators and prey at random."""
        free = jnp.asarray(~self.grid.border(True)[self.grid.inner])
        key_walls, key_predators, key_prey = jax.random.split(key, 3)
        walls, free = random_places(key_walls, self.num_walls, free, 1)
        predators, free = random_places(key_predators, self.num_predators, free, BODY)
        prey, _ = random_places(key_prey, self.num_prey, free, 1)
        start = beginning(jnp.concatenate([predators, prey]), self.full_hp)
        return PursuitState(**start, walls=walls, tags=jnp.int32(0))

    def turn(
        self,
        state: PursuitState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> PursuitState:
        """Returns the state after one step; moves go by number, and no order is used."""
        grid, n = self.grid, self.num_predators
        hunt, flee = (actions[name].astype(jnp.int32) for name in self.KINDS)
        hunter, prey = state.position[:n], grid.cell_of(state.position[n:])
        everyone = jnp.ones(self.num_prey, bool)
        index = jnp.arange(self.num_prey, dtype=jnp.int32)
        wall = self.wall(state).reshape(-1)
        prey_at = grid.occupancy(prey, everyone, index)

        reach = grid.steps(np.concatenate([0 * PREDATOR.moves, PREDATOR.attacks]))
        tagging = hunt >= len(PREDATOR.moves)
        victim = jnp.where(tagging, prey_at[grid.cell_of(hunter) + jnp.asarray(reach)[hunt]], -1)
        tagged = jnp.where(victim < 0, self.num_prey, victim)
        tags = jnp.zeros(self.num_prey, int).at[tagged].add(1, mode="drop")  # of each prey

        step = jnp.asarray(np.concatenate([PREDATOR.moves, 0 * PREDATOR.attacks]))
        target = hunter + step[hunt]
        body = self._body(target)
        free = ~jnp.any(wall[body] | (prey_at[body] >= 0), 1)
        hunter = resolve_body_moves(hunter, target, free, BODY, self.map_size)
        wall = wall.at[self._body(hunter)].set(True)
        prey = resolve_moves(prey, everyone, flee, index, prey_at, wall, PREY.moves, grid)

        earned = jnp.where(tagging, self.tag_penalty, 0.0)
        earned = jnp.where(victim >= 0, earned + self.tag_reward, earned)
        return dataclasses.replace(
            state,
            position=jnp.concatenate([hunter, grid.position_of(prey)]),
            reward=jnp.concatenate([earned, tags * self.tagged_reward]).astype(jnp.float32),
            tags=state.tags + jnp.sum(tags).astype(jnp.int32),
            **self.remembered(state, actions),
        )

    def extras(self, state: PursuitState, last: jax.Array) -> dict[str, Any]:
        figures = {"tags": jnp.stack([state.tags, jnp.zeros_like(state.tags)])}
        return {"tags": state.tags, "team_figures": figures}

    def render(self, state: PursuitState) -> jax.Array:
        """Returns an image [H, W, 3] uint8; prey that was tagged in the last step is golden."""
        cell, present, strength, group = self.on_map(state)
        of_bodies = jnp.zeros(BODY**2 * self.num_predators, bool)
        tagged = jnp.concatenate([of_bodies, self.split(state.reward)["prey"] < 0])
        figure = jnp.where(tagged, 2, group)
        counts = jnp.append(self.survivors(state), state.tags)
        return self._picture(state, cell, present, strength, figure, counts)

    def wall(self, state: PursuitState, outside: bool = True) -> jax.Array:
        return self.grid.with_walls(self.grid.border(outside), state.walls)

    def on_map(self, state: PursuitState) -> tuple[jax.Array, jax.Array, jax.Array, np.ndarray]:
        n = self.num_predators
        body = self._body(state.position[:n]).reshape(-1)
        cell = jnp.concatenate([body, self.grid.cell_of(state.position[n:])])
        group = group_index({"predator": BODY**2 * n, "prey": self.num_prey})
        return cell, jnp.ones(cell.shape, bool), jnp.ones(cell.shape), group

    def _body(self, corner: jax.Array) -> jax.Array:
        # The cells [n, 4] int32 of predators whose upper left cells are [n, 2] (x, y).
        offsets = np.array([(x, y) for y in range(BODY) for x in range(BODY)])
        return self.grid.cell_of(corner)[:, None] + self.grid.steps(offsets)

    def _overview(self, state: PursuitState) -> jax.Array:
        bins, layer = len(PREY.window), group_index({**self.sizes, "wall": self.num_walls})
        places = jnp.concatenate([state.position, state.walls])
        share = 1 / np.bincount(layer)[layer].astype(np.float32)
        return obs.overview(obs.bin_of(places, self.map_size, bins), layer, 3, share, bins)


def adversarial_pursuit(
    *,
    map_size: int = 45,
    num_predators: int | None = None,
    num_prey: int | None = None,
    num_walls: int | None = None,
    max_steps: int = 500,
    minimap: bool = False,
    id_bits: int = 10,
    observe_before_removal: bool = True,
    tag_reward: float = 1.0,
    tagged_reward: float = -1.0,
    tag_penalty: float = -0.2,
) -> AdversarialPursuit:
    """Returns adversarial_pursuit_v4 of MAgent2; by default 25 predators and 50 prey.

    Args:
      map_size: cells along a side, with the ring of wall; 7 or more.
      num_predators: by default an eightieth of the map's cells.
      num_prey: by default a fortieth of the map's cells.
      num_walls: cells of wall within the ring; by default 3 in 100 of the map's cells.
      max_steps: the time limit.
      minimap: whether views have the minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31.
      observe_before_removal: whether the last reward shown is one step old, as with MAgent2.
      tag_reward: for a predator that tags a prey.
      tagged_reward: for a prey, from every predator that tags it.
      tag_penalty: for every try to tag, a number added: negative punishes.

    Raises:
      ValueError: naming the argument.
    """
    check_options(7, map_size=map_size, max_steps=max_steps, id_bits=id_bits)
    shares = {"num_walls": 0.03, "num_predators": 0.0125, "num_prey": 0.025}
    asked = {"num_walls": num_walls, "num_predators": num_predators, "num_prey": num_prey}
    numbers: dict[str, int] = {}
    for name, share in shares.items():
        given, least = asked[name], int(name != "num_walls")
        numbers[name] = number = int(map_size**2 * share) if given is None else given
        if given is None:
            require(number >= least, "map_size", f"room for one, or {name}", map_size)
        require(number >= least, name, f"at least {least}", number)
    _check_room(map_size, **numbers)
    return AdversarialPursuit(
        tag_reward=tag_reward,
        tagged_reward=tagged_reward,
        tag_penalty=tag_penalty,
        map_size=map_size,
        max_steps=max_steps,
        move_priority="queue",
        minimap=minimap,
        id_bits=id_bits,
        observe_before_removal=observe_before_removal,
        **numbers,
    )


def _check_room(map_size: int, num_walls: int, num_predators: int, num_prey: int) -> None:
    # Enough that the last one placed finds a place however the others stand: a wall takes at most
    # four places of a body's upper left cell, a body at most nine.
    cells, corners = (map_size - 2) ** 2, (map_size - 3) ** 2
    room = (corners - 4 * num_walls - 1) // 9 + 1
    require(num_walls <= corners // 4 - 1, "num_walls", f"at most {corners // 4 - 1}", num_walls)
    expected = f"at most {room}, which fit beside {num_walls} walls in any case"
    require(num_predators <= room, "num_predators", expected, num_predators)
    room = cells - num_walls - BODY**2 * num_predators
    require(num_prey <= room, "num_prey", f"at most {room}, the cells left", num_prey)
