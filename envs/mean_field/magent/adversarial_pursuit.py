"""Adversarial pursuit: big slow predators tag small quick prey among random walls.

adversarial_pursuit_v4 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). A
predator covers 2 x 2 cells. A tag hurts nobody, so nobody dies and the order of tags is of no
matter. One step: all tags at once, then all moves one by one, predators before prey and by index.
Rewards of a step: a predator gets tag_penalty for trying and tag_reward for tagging a prey; a prey
gets tagged_reward from every predator that tagged it.

Walls and starting places are drawn anew for every episode. On maps of more than 99 x 99 cells the
published engine has another order of moves, which is left out.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, GOLD, RED
from jaxmarl_core.envs.mean_field.magent import observation as obs
from jaxmarl_core.envs.mean_field.magent.bodies import resolve_body_moves
from jaxmarl_core.envs.mean_field.magent.grid import Grid, disc
from jaxmarl_core.envs.mean_field.magent.moves import resolve_moves
from jaxmarl_core.envs.mean_field.magent.placement import random_places
from jaxmarl_core.envs.mean_field.magent.render import Figure, render
from jaxmarl_core.envs.mean_field.magent.units import Kind, group_index, mean_one_hot, split
from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

BODY = 2  # cells along a side of a predator
# A predator looks and tags around its middle, a corner of cells; its position is its upper left.
PREDATOR = Kind(moves=disc(1), attacks=1 + disc(2, inner=1, even=True))
PREY = Kind(moves=disc(1.5), attacks=disc(0, inner=0.5))
KINDS = {"predator": PREDATOR, "prey": PREY}
MASKS = {"predator": obs.round_mask(5, even=True), "prey": obs.round_mask(4)}
MARGIN = 4  # both windows begin four cells left of and above an agent's position
FIGURES = (
    Figure("predators", RED, "square"),
    Figure("prey", BLUE, "square"),
    Figure("tags", GOLD, "square"),
)


@struct.dataclass
class PursuitState:
    """Where the hunt stands. The n predators come first in [N], then the prey."""

    walls: jax.Array  # [W, 2] int32 (x, y), within the ring
    position: jax.Array  # [N, 2] int32 (x, y); of a predator its upper left cell
    last_action: jax.Array  # [N] int32, -1 before the first
    reward: jax.Array  # [N] f32, of the last step
    earlier_reward: jax.Array  # [N] f32, of the step before it
    tags: jax.Array  # [] int32, so far
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class AdversarialPursuit(StateEnvironment):
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
    - mean_action: [n, A] f32, the mean one-hot action of the own group in the last step; zero at
      the start.
    - extras: "tags" [] int32, prey tagged so far, once for every predator that did.
    """

    tag_reward: float
    tagged_reward: float
    tag_penalty: float
    map_size: int = struct.field(pytree_node=False)
    num_predators: int = struct.field(pytree_node=False)
    num_prey: int = struct.field(pytree_node=False)
    num_walls: int = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)
    minimap: bool = struct.field(pytree_node=False)
    id_bits: int = struct.field(pytree_node=False)
    observe_before_removal: bool = struct.field(pytree_node=False)

    @property
    def sizes(self) -> dict[str, int]:
        """How many agents each group has."""
        return {"predator": self.num_predators, "prey": self.num_prey}

    @property
    def num_agents(self) -> int:
        return self.num_predators + self.num_prey

    @property
    def groups(self) -> Mapping[str, Group]:
        groups, channels = {}, obs.num_channels(2, self.minimap)
        for team, (name, size) in enumerate(self.sizes.items()):
            num_actions = KINDS[name].num_actions
            view = Box((*MASKS[name].shape, channels), 0.0, 2.0)
            features = Box((self.id_bits + num_actions + 1 + 2 * self.minimap,))
            space = Composite({"view": view, "features": features})
            groups[name] = Group(size, space, Discrete(num_actions), team)
        return groups

    def initial(self, key: Key) -> PursuitState:
        """Returns the state at the start of an episode: walls, predators and prey at random."""
        free = jnp.asarray(~self._grid.border(True)[self._grid.inner])
        key_walls, key_predators, key_prey = jax.random.split(key, 3)
        walls, free = random_places(key_walls, self.num_walls, free, 1)
        predators, free = random_places(key_predators, self.num_predators, free, BODY)
        prey, _ = random_places(key_prey, self.num_prey, free, 1)
        n = self.num_agents
        return PursuitState(
            walls=walls,
            position=jnp.concatenate([predators, prey]),
            last_action=jnp.full(n, -1, jnp.int32),
            reward=jnp.zeros(n),
            earlier_reward=jnp.zeros(n),
            tags=jnp.int32(0),
            time=jnp.int32(0),
        )

    def advance(self, key: Key, state: PursuitState, actions: Actions) -> PursuitState:
        """Returns the state that the joint action {group: [n] int32} leads to; draws nothing."""
        grid, n = self._grid, self.num_predators
        hunt, flee = (actions[name].astype(jnp.int32) for name in KINDS)
        hunter, prey = state.position[:n], grid.cell_of(state.position[n:])
        everyone = jnp.ones(self.num_prey, bool)
        index = jnp.arange(self.num_prey, dtype=jnp.int32)
        wall = self._wall(state)
        prey_at = grid.occupancy(prey, everyone, index)

        reach = grid.steps(np.concatenate([0 * PREDATOR.moves, PREDATOR.attacks]))
        tagging = hunt >= len(PREDATOR.moves)
        victim = jnp.where(tagging, prey_at[grid.cell_of(hunter) + jnp.asarray(reach)[hunt]], -1)
        tags = jnp.sum(victim[:, None] == index, 0)  # of each prey

        step = jnp.asarray(np.concatenate([PREDATOR.moves, 0 * PREDATOR.attacks]))
        target = hunter + step[hunt]
        body = self._body(target)
        free = ~jnp.any(wall[body] | (prey_at[body] >= 0), 1)
        hunter = resolve_body_moves(hunter, target, free, BODY)
        wall = wall.at[self._body(hunter)].set(True)
        prey = resolve_moves(prey, everyone, flee, index, wall, PREY.moves, grid)

        earned = jnp.where(tagging, self.tag_penalty, 0.0)
        earned = jnp.where(victim >= 0, earned + self.tag_reward, earned)
        return PursuitState(
            walls=state.walls,
            position=jnp.concatenate([hunter, grid.position_of(prey)]),
            last_action=jnp.concatenate([hunt, flee]),
            reward=jnp.concatenate([earned, tags * self.tagged_reward]).astype(jnp.float32),
            earlier_reward=state.reward,
            tags=state.tags + jnp.sum(tags).astype(jnp.int32),
            time=state.time + 1,
        )

    def observe(self, state: PursuitState) -> TimeStep:
        """Returns the time step of a state."""
        all_of = self._split(jnp.ones(self.num_agents, bool))
        acted = self._split(jnp.broadcast_to(state.time > 0, self.num_agents))
        action = self._split(state.last_action)
        return TimeStep(
            observation=self._observation(state),
            action_mask={},
            alive=all_of,
            state=self._overview(state),
            reward=self._split(state.reward),
            discount=self._split(jnp.ones(self.num_agents)),
            last=state.time >= self.max_steps,
            mean_action={
                name: mean_one_hot(action[name], acted[name], kind.num_actions)
                for name, kind in KINDS.items()
            },
            extras={"tags": state.tags},
        )

    def mean_action(self, state: PursuitState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the groups' mean one-hot action, {group: [n, A]}, if `actions` are played now."""
        acted = self._split(jnp.ones(self.num_agents, bool))
        return {
            name: mean_one_hot(actions[name], acted[name], kind.num_actions)
            for name, kind in KINDS.items()
        }

    def render(self, state: PursuitState) -> jax.Array:
        """Returns an image [H, W, 3] uint8; prey that was tagged in the last step is golden."""
        cell, group = self._cells(state)
        of_bodies = jnp.zeros(BODY**2 * self.num_predators, bool)
        tagged = jnp.concatenate([of_bodies, self._split(state.reward)["prey"] < 0])
        counts = jnp.stack([self.num_predators, self.num_prey, state.tags])
        wall, whole = self._wall(state), jnp.ones(cell.shape)
        figure = jnp.where(tagged, 2, group)
        return render(self._grid, wall, cell, whole > 0, whole, figure, FIGURES, counts, state.time)

    @property
    def _grid(self) -> Grid:
        return Grid(self.map_size, MARGIN)

    @property
    def _group(self) -> np.ndarray:
        return group_index(self.sizes)

    def _split(self, per_agent: jax.Array) -> dict[str, jax.Array]:
        return split(per_agent, self.sizes)

    def _wall(self, state: PursuitState, outside: bool = True) -> jax.Array:
        # [stride * stride] bool
        wall = jnp.asarray(self._grid.border(outside)).reshape(-1)
        return wall.at[self._grid.cell_of(state.walls)].set(True)

    def _body(self, corner: jax.Array) -> jax.Array:
        # The cells [n, 4] int32 of predators whose upper left cells are [n, 2] (x, y).
        offsets = np.array([(x, y) for y in range(BODY) for x in range(BODY)])
        return self._grid.cell_of(corner)[:, None] + self._grid.steps(offsets)

    def _cells(self, state: PursuitState) -> tuple[jax.Array, np.ndarray]:
        # All cells that are stood on, [4 n + m] int32, and by which group.
        n = self.num_predators
        body = self._body(state.position[:n]).reshape(-1)
        cell = jnp.concatenate([body, self._grid.cell_of(state.position[n:])])
        return cell, group_index({"predator": BODY**2 * n, "prey": self.num_prey})

    def _overview(self, state: PursuitState) -> jax.Array:
        bins = len(MASKS["prey"])
        places = jnp.concatenate([state.position, state.walls])
        kind = group_index({**self.sizes, "wall": self.num_walls})
        layer = obs.bin_of(places, self.map_size, bins) * 3 + kind
        share = 1 / np.bincount(kind)[kind].astype(np.float32)
        return jnp.zeros(bins * bins * 3).at[layer].add(share)

    def _observation(self, state: PursuitState) -> dict[str, dict[str, jax.Array]]:
        n, channels = self.num_agents, obs.num_channels(2, self.minimap)
        reward = state.earlier_reward if self.observe_before_removal else state.reward
        identity, everyone = jnp.arange(n, dtype=jnp.int32), jnp.ones(n, bool)
        rows = (identity, state.last_action, reward, everyone)
        identity, action, reward, listed = (self._split(row) for row in rows)
        position = self._split(state.position)
        cell, standing = self._cells(state)
        wall, whole = self._wall(state, outside=False), jnp.ones(cell.shape)
        seen = {}
        for g, (name, mask) in enumerate(MASKS.items()):
            channel = obs.channels_of(standing, g, 2, self.minimap)
            image = obs.map_image(self._grid, wall, cell, whole > 0, whole, channel, channels)
            minimap = None
            if self.minimap:
                bins = len(mask)
                place = obs.bin_of(state.position, self.map_size, bins)
                channel = obs.channels_of(self._group, g, 2, True)
                drawn = obs.minimap_image(place, everyone, self._group, channel, bins, channels)
                minimap = obs.Minimap(drawn, self._split(place)[name])
            seen[name] = {
                "view": obs.views(image, position[name], mask, listed[name], minimap),
                "features": obs.features(
                    identity[name],
                    action[name],
                    reward[name],
                    listed[name],
                    self.id_bits,
                    KINDS[name].num_actions,
                    position[name] / self.map_size if self.minimap else None,
                ),
            }
        return seen


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
    require(map_size >= 7, "map_size", "at least 7", map_size)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    require(0 <= id_bits <= 31, "id_bits", "in 0..31", id_bits)
    shares = {"num_walls": 0.03, "num_predators": 0.0125, "num_prey": 0.025}
    numbers = {"num_walls": num_walls, "num_predators": num_predators, "num_prey": num_prey}
    for name, share in shares.items():
        given, least = numbers[name], int(name != "num_walls")
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
