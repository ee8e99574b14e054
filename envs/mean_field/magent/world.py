"""What MAgent's worlds share: the record of a game, the parts of a step, what is shown of it.

Zheng et al., 2018, arXiv:1712.00600 (MAgent). A world says who plays, what a step pays and what
walls there are; its `turn` puts together the parts of a step in the order of the engine:

    all attacks in a random order, then recovery, then all moves one by one
"""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.mean_field.magent import observation as obs
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks, resolve_attacks
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid
from jaxmarl_core.envs.mean_field.magent.kinds import (
    Kind,
    attacks_of,
    group_index,
    mean_one_hot,
    moves_of,
    queue_order,
    random_orders,
    split,
)
from jaxmarl_core.envs.mean_field.magent.moves import resolve_moves
from jaxmarl_core.envs.mean_field.magent.render import Figure, render
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep


@struct.dataclass
class WorldState:
    """Where a game stands. The N agents come group after group; in [M] things may follow them."""

    position: jax.Array  # [N, 2] int32 (x, y); the dead keep their last cell
    hp: jax.Array  # [M] f32; 0 for the dead
    alive: jax.Array  # [M] bool
    acted: jax.Array  # [M] bool, alive before the last step; all true at the start
    last_action: jax.Array  # [N] int32, -1 before the first
    reward: jax.Array  # [N] f32, of the last step
    earlier_reward: jax.Array  # [N] f32, of the step before it
    time: jax.Array  # [] int32, steps played


def beginning(position: jax.Array, hp: jax.Array) -> dict[str, jax.Array]:
    """Returns the fields of a `WorldState` at the start: everybody in place and well."""
    n, everything = len(position), len(hp)
    return {
        "position": position,
        "hp": hp,
        "alive": jnp.ones(everything, bool),
        "acted": jnp.ones(everything, bool),
        "last_action": jnp.full(n, -1, jnp.int32),
        "reward": jnp.zeros(n, jnp.float32),
        "earlier_reward": jnp.zeros(n, jnp.float32),
        "time": jnp.int32(0),
    }


@struct.dataclass
class World(StateEnvironment):
    """Base of the worlds: they add their numbers, `sizes`, `full_hp`, `initial`, `turn`, `extras`.

    Rows of the dead are zero in observations, their actions are ignored and their reward is 0
    after the step in which they died. Actions that a kind does not have are not defined. The mean
    action of a group is over its members that acted in the last step, those it killed included;
    zero at the start. The critic's state is an image [V, V, 2 G] of the map in minimap bins: of
    each the living of each group over the group's size, then the same weighted by hp.
    """

    map_size: int = struct.field(pytree_node=False)  # cells along a side, with the ring of wall
    max_steps: int = struct.field(pytree_node=False)
    move_priority: str = struct.field(pytree_node=False)  # "queue" or "random"
    minimap: bool = struct.field(pytree_node=False)
    id_bits: int = struct.field(pytree_node=False)
    observe_before_removal: bool = struct.field(pytree_node=False)

    KINDS: ClassVar[Mapping[str, Kind]]  # of the groups of agents
    TEAMS: ClassVar[tuple[int, ...]] = (0, 1)  # of each group
    MOVES: ClassVar[np.ndarray]  # tables of what all kinds can do
    ATTACKS: ClassVar[np.ndarray]
    FIGURES: ClassVar[tuple[Figure, ...]]

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """How many members each group has; things that do nothing come last."""

    @property
    @abstractmethod
    def full_hp(self) -> jax.Array:
        """Everybody's hp at the start and at most, [M] f32."""

    @abstractmethod
    def turn(
        self,
        state: WorldState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> WorldState:
        """Returns the state after one step in which nothing is left to chance."""

    @abstractmethod
    def extras(self, state: WorldState, last: jax.Array) -> dict[str, Any]:
        """Returns what a time step tells beside the common."""

    @property
    def num_agents(self) -> int:
        return sum(self.sizes[name] for name in self.KINDS)

    @property
    def groups(self) -> Mapping[str, Group]:
        groups, channels = {}, obs.num_channels(len(self.sizes), self.minimap)
        for (name, kind), team in zip(self.KINDS.items(), self.TEAMS):
            view = Box((*kind.window.shape, channels), 0.0, 2.0)
            features = Box((self.id_bits + kind.num_actions + 1 + 2 * self.minimap,))
            space = Composite({"view": view, "features": features})
            groups[name] = Group(self.sizes[name], space, Discrete(kind.num_actions), team)
        return groups

    def step(
        self, key: Key, state: WorldState, actions: Actions, *orders: jax.Array
    ) -> tuple[Any, TimeStep]:
        """Returns the next state and its time step; orders as in `advance`."""
        state = self.advance(key, state, actions, *orders)
        return state, self.observe(state)

    def advance(
        self,
        key: Key,
        state: WorldState,
        actions: Actions,
        attack_order: jax.Array | None = None,
        move_order: jax.Array | None = None,
    ) -> Any:
        """Returns the state that the joint action leads to.

        Args:
          key: a PRNG key.
          state: the state before.
          actions: {group: [n] int32}.
          attack_order: [N] int32 >= 0, each agent's place in the order of attacks, distinct among
            the attackers; drawn if None.
          move_order: [N] int32 in 0..2^26 - 1, the same for moves; by `move_priority` if None.
        """
        drawn = random_orders(key, 2 if self.move_priority == "random" else 1, self.num_agents)
        if attack_order is None:
            attack_order = drawn[0]
        if move_order is None:
            queue = queue_order(state.position[:, 0], self.map_size)
            move_order = drawn[1] if self.move_priority == "random" else queue
        return self.turn(state, actions, attack_order, move_order)

    # The parts of a step.

    def fight(
        self,
        state: WorldState,
        actions: Actions,
        attack_order: jax.Array,
        damage: float | jax.Array,
        foes: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    ) -> Attacks:
        """Returns what the attacks of a step do; `foes` as in `resolve_attacks`."""
        attack = self._translated(attacks_of, actions, self.ATTACKS)
        order = self._with_things(attack_order, 0)
        cell = self.grid.cell_of(self.places(state))
        standing = (cell, state.hp, state.alive, attack, order, damage, self.occupant(state))
        return resolve_attacks(*standing, self.ATTACKS, self.grid, foes)

    def move(
        self,
        state: WorldState,
        actions: Actions,
        move_order: jax.Array,
        hp: jax.Array,
        alive: jax.Array,
    ) -> Any:
        """Returns the state after the moves of those left `alive`; their rewards are to come."""
        move = self._translated(moves_of, actions, self.MOVES)
        order = self._with_things(move_order, 0)
        cell = self.grid.cell_of(self.places(state))
        standing = (cell, alive, move, order, self.occupant(state))
        cell = resolve_moves(*standing, self.wall(state), self.MOVES, self.grid)
        return dataclasses.replace(
            state,
            position=self.grid.position_of(cell[: self.num_agents]),
            hp=jnp.where(alive, hp, 0.0),
            alive=alive,
            **self.remembered(state, actions),
        )

    def remembered(self, state: WorldState, actions: Actions) -> dict[str, jax.Array]:
        """Returns what the next state keeps of the step, by field."""
        action = self.joined(actions)
        return {
            "acted": state.alive,
            "last_action": jnp.where(state.alive[: self.num_agents], action, state.last_action),
            "earlier_reward": state.reward,
            "time": state.time + 1,
        }

    # What is shown.

    def observe(self, state: WorldState) -> TimeStep:
        """Returns the time step of a state."""
        over = jnp.any(self.survivors(state) == 0)
        last = over | (state.time >= self.max_steps)
        alive = state.alive[: self.num_agents]
        acted = state.acted & (state.time > 0)
        return TimeStep(
            observation=self._observation(state),
            action_mask={},
            alive=self.split(alive),
            state=self._overview(state),
            reward=self.split(state.reward),
            discount=self.split((alive & ~over).astype(jnp.float32)),
            last=last,
            mean_action=self._mean_action(self.split(state.last_action), acted),
            extras=self.extras(state, last),
        )

    def mean_action(self, state: WorldState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the groups' mean one-hot action, {group: [n, A]}, if `actions` are played now."""
        return self._mean_action(actions, state.alive)

    def mean_action_at(self, timestep: TimeStep, actions: Actions) -> dict[str, jax.Array]:
        """Returns `mean_action` as agents can tell it, who are shown time steps."""
        alive = jnp.concatenate([timestep.alive[name] for name in self.KINDS])
        return self._mean_action(actions, alive)

    def render(self, state: WorldState) -> jax.Array:
        """Returns an image [H, W, 3] uint8 of the map, paler ones hurt, and who is left."""
        cell, present, strength, group = self.on_map(state)
        return self._picture(state, cell, present, strength, group, self.survivors(state))

    def survivors(self, state: WorldState) -> jax.Array:
        """Returns how many of each group are left, [G] int32."""
        return jnp.stack([jnp.sum(part) for part in split(state.alive, self.sizes).values()])

    # Where things are: worlds with more than agents of one cell say so here.

    @property
    def grid(self) -> Grid:
        return Grid(self.map_size, max(kind.reach for kind in self.KINDS.values()))

    @property
    def group(self) -> np.ndarray:
        """Which group everybody is of, [M] int32."""
        return group_index(self.sizes)

    def wall(self, state: WorldState, outside: bool = True) -> np.ndarray | jax.Array:
        """Returns [stride, stride] bool: true where nobody may stand; outside the map if asked."""
        return self.grid.border(outside)

    def places(self, state: WorldState) -> jax.Array:
        """Returns where everybody is, [M, 2] int32 (x, y)."""
        return state.position

    def on_map(self, state: WorldState) -> tuple[jax.Array, jax.Array, jax.Array, np.ndarray]:
        """Returns who stands on the map's cells: cell, presence, hp as a fraction, group; [K]."""
        cell = self.grid.cell_of(self.places(state))
        return cell, state.alive, state.hp / self.full_hp, self.group

    def occupant(self, state: WorldState) -> jax.Array:
        """Returns who of those alive stands on each cell, [stride * stride] int32, -1 for nobody.

        Of one state it is asked for several times, and computed once: XLA sees that it is the same.
        """
        index = jnp.arange(len(self.group), dtype=jnp.int32)
        return self.grid.occupancy(self.grid.cell_of(self.places(state)), state.alive, index)

    def identity(self, state: WorldState) -> jax.Array:
        """Returns the ids that agents are shown, [N] int32 >= 0."""
        return jnp.arange(self.num_agents, dtype=jnp.int32)

    # Between groups and agents.

    def split(self, rows: jax.Array) -> dict[str, jax.Array]:
        """Returns the rows of each group of agents, {group: [n, ...]}."""
        return split(rows, {name: self.sizes[name] for name in self.KINDS})

    def joined(self, per_group: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the integers of all agents, [N] int32, from {group: [n]}."""
        return jnp.concatenate([per_group[name] for name in self.KINDS]).astype(jnp.int32)

    def _with_things(self, per_agent: jax.Array, value: int) -> jax.Array:
        return jnp.pad(
            per_agent, (0, len(self.group) - self.num_agents), constant_values=np.int32(value)
        )

    def _translated(self, rows_of: Callable, actions: Actions, table: np.ndarray) -> jax.Array:
        # Everybody's move or attack as a row of the table that holds those of all kinds.
        first, *others = self.KINDS.values()
        if all(other is first for other in others):  # one operation on all serves as well
            return self._with_things(rows_of(first, self.joined(actions), table), NONE)
        rows = {name: rows_of(kind, actions[name], table) for name, kind in self.KINDS.items()}
        return self._with_things(self.joined(rows), NONE)

    def _mean_action(
        self, action: Mapping[str, jax.Array], acted: jax.Array
    ) -> dict[str, jax.Array]:
        by_group = self.split(acted)
        return {
            name: mean_one_hot(action[name], by_group[name], kind.num_actions)
            for name, kind in self.KINDS.items()
        }

    def _observation(self, state: WorldState) -> dict[str, dict[str, jax.Array]]:
        # Before removal, those just killed are still counted, and look around one last time.
        listed = state.acted if self.observe_before_removal else state.alive
        reward = state.earlier_reward if self.observe_before_removal else state.reward
        rows = (self.identity(state), state.last_action, reward, listed)
        identity, action, reward, visible = map(self.split, rows)
        corner = self.split(state.position + self.grid.margin)
        place = self.split(state.position / self.map_size)
        channels, images = self._images(state)
        minimaps = self._minimaps(state, listed) if self.minimap else {}
        return {
            name: {
                "view": obs.views(
                    images,
                    g * self.grid.stride,
                    corner[name] - kind.reach,
                    kind.window,
                    channels,
                    visible[name],
                    minimaps.get(name),
                ),
                "features": obs.features(
                    identity[name],
                    action[name],
                    reward[name],
                    visible[name],
                    self.id_bits,
                    kind.num_actions,
                    place[name] if self.minimap else None,
                ),
            }
            for g, (name, kind) in enumerate(self.KINDS.items())
        }

    def _images(self, state: WorldState) -> tuple[int, jax.Array]:
        cell, present, strength, group = self.on_map(state)
        channel = np.stack([self._channels(group, g) for g in range(len(self.KINDS))])
        channels = obs.num_channels(len(self.sizes), self.minimap)
        wall = self.wall(state, outside=False)
        return channels, obs.map_images(self.grid, wall, cell, present, strength, channel, channels)

    def _channels(self, group: np.ndarray, observer: int) -> np.ndarray:
        return obs.channels_of(group, observer, len(self.sizes), self.minimap)

    def _minimaps(self, state: WorldState, listed: jax.Array) -> dict[str, obs.Minimap]:
        channels, minimaps, of_size = obs.num_channels(len(self.sizes), True), {}, {}
        for bins in {len(kind.window) for kind in self.KINDS.values()}:
            place = obs.bin_of(self.places(state), self.map_size, bins)
            of_size[bins] = place, obs.shares(place, listed, self.group, bins)
        for g, (name, kind) in enumerate(self.KINDS.items()):
            bins, channel = len(kind.window), self._channels(np.arange(len(self.sizes)), g)
            place, share = of_size[bins]
            image = obs.minimap_image(share, channel.tolist(), bins, channels)
            minimaps[name] = obs.Minimap(image, self.split(place)[name])
        return minimaps

    def _overview(self, state: WorldState) -> jax.Array:
        bins, group = max(len(kind.window) for kind in self.KINDS.values()), self.group
        sizes = np.bincount(group)
        place = jnp.tile(obs.bin_of(self.places(state), self.map_size, bins), 2)
        layer = np.concatenate([group, group + len(sizes)])
        weight = jnp.concatenate([state.alive * 1.0, state.hp / self.full_hp])
        share = weight / sizes[np.tile(group, 2)]
        return obs.overview(place, layer, 2 * len(sizes), share, bins)

    def _picture(self, state: WorldState, cell, present, strength, group, counts) -> jax.Array:
        return render(
            self.grid,
            self.wall(state),
            cell,
            present,
            strength,
            group,
            self.FIGURES,
            counts,
            state.time,
        )


def winner(survivors: jax.Array, last: jax.Array) -> jax.Array:
    """Returns at the end the team with more of `survivors` [2], -1 for a tie and before the end."""
    ahead = jnp.where(survivors[0] == survivors[1], -1, jnp.argmax(survivors))
    return jnp.where(last, ahead, -1).astype(jnp.int32)


def check_options(
    least_size: int,
    *,
    map_size: int,
    max_steps: int,
    id_bits: int,
    move_priority: str = "queue",
    **positive: float,
) -> None:
    """Raises ValueError, naming the argument, unless a world can have these options."""
    require(map_size >= least_size, "map_size", f"at least {least_size}", map_size)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    require(0 <= id_bits <= 31, "id_bits", "in 0..31", id_bits)
    lookup(dict.fromkeys(("queue", "random")), move_priority, "move_priority")
    for name, value in positive.items():
        require(value > 0, name, "above 0", value)
