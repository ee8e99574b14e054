"""Gather: a ring of hungry omnivores around a field of food, who can also kill each other.

gather_v5 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). Food takes several
bites; an omnivore dies of one. One step: all attacks in a random order, then all moves one by one,
in the order of MAgent (see `queue_order`). Rewards of a step add up in this order:

    step_reward; attack_penalty for an attack, kill_reward with it for finishing food;
    all replaced by death_reward for those killed; hit_reward for a bite that food survived
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, GREEN
from jaxmarl_core.envs.mean_field.magent import observation as obs
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks, resolve_attacks
from jaxmarl_core.envs.mean_field.magent.grid import NONE, Grid
from jaxmarl_core.envs.mean_field.magent.moves import resolve_moves
from jaxmarl_core.envs.mean_field.magent.render import Figure, render
from jaxmarl_core.envs.mean_field.magent.units import (
    attacks_of,
    group_index,
    kind,
    mean_one_hot,
    moves_of,
    queue_order,
    random_orders,
)
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

VIEW_RADIUS = 7
VIEW = 2 * VIEW_RADIUS + 1
MASK = obs.round_mask(VIEW_RADIUS)
OMNIVORE = kind(speed=3, reach=1)
FIGURES = (Figure("omnivores", BLUE, "square"), Figure("food", GREEN, "diamond"))
PATTERN = 53  # cells along a side of the chequered field in the middle, whatever the map's size
Cells = tuple[tuple[int, int], ...]


@struct.dataclass
class GatherState:
    """What is left. The n omnivores come first in [N], then the food."""

    position: jax.Array  # [n, 2] int32 (x, y); the dead keep their last cell
    hp: jax.Array  # [N] f32; 0 for the dead
    alive: jax.Array  # [N] bool
    was_alive: jax.Array  # [N] bool, alive before the last step; all true at the start
    last_action: jax.Array  # [n] int32, -1 before the first
    reward: jax.Array  # [n] f32, of the last step
    earlier_reward: jax.Array  # [n] f32, of the step before it
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class Gather(StateEnvironment):
    """One group, "omnivore", of n agents that move up to three cells and bite the four neighbours.

    - observation: {"view": [n, 15, 15, C] f32, "features": [n, F] f32}, see `observation`; C is 5
      (wall, omnivore, its hp, food, its hp), and 7 with minimaps; F is id_bits + 34, and 2 more (x
      and y) with minimaps. Rows of the dead are zero.
    - action: [n] int32 in 0..32: 0-28 move, 14 stays, 29-32 bite up, left, right, down. The
      actions of the dead are ignored; others are not defined.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when no food or no omnivore is left;
      `max_steps` sets `last` alone.
    - state: [900] f32, an image [15, 15, 4] of the map in minimap bins, see `overview`.
    - mean_action: [n, 33] f32, the mean one-hot action of those that acted in the last step, those
      it killed included; zero at the start.
    - extras: "food" [] int32, how much is left; "killed" [] int32, omnivores killed so far.
    """

    step_reward: float
    kill_reward: float
    death_reward: float
    attack_penalty: float
    hit_reward: float
    damage: float
    max_hp: float
    food_hp: float
    map_size: int = struct.field(pytree_node=False)
    omnivores: Cells = struct.field(pytree_node=False)  # where they start
    food: Cells = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)
    move_priority: str = struct.field(pytree_node=False)  # "queue" or "random"
    minimap: bool = struct.field(pytree_node=False)
    id_bits: int = struct.field(pytree_node=False)
    observe_before_removal: bool = struct.field(pytree_node=False)

    @property
    def num_agents(self) -> int:
        return len(self.omnivores)

    @property
    def groups(self) -> Mapping[str, Group]:
        view = Box((VIEW, VIEW, obs.num_channels(2, self.minimap)), 0.0, 2.0)
        features = Box((self.id_bits + OMNIVORE.num_actions + 1 + 2 * self.minimap,))
        space = Composite({"view": view, "features": features})
        return {"omnivore": Group(self.num_agents, space, Discrete(OMNIVORE.num_actions))}

    def initial(self, key: Key) -> GatherState:
        """Returns the state at the start of an episode, always the same."""
        n, everything = self.num_agents, self.num_agents + len(self.food)
        return GatherState(
            position=jnp.asarray(self.omnivores, jnp.int32),
            hp=self._max_hp,
            alive=jnp.ones(everything, bool),
            was_alive=jnp.ones(everything, bool),
            last_action=jnp.full(n, -1, jnp.int32),
            reward=jnp.zeros(n),
            earlier_reward=jnp.zeros(n),
            time=jnp.int32(0),
        )

    def advance(
        self,
        key: Key,
        state: GatherState,
        actions: Actions,
        attack_order: jax.Array | None = None,
    ) -> GatherState:
        """Returns the state that the joint action leads to.

        Args:
          key: a PRNG key.
          state: the state before.
          actions: {"omnivore": [n] int32 in 0..32}.
          attack_order: [n] int32 >= 0, each agent's place in the order of attacks, distinct among
            the attackers; drawn if None.
        """
        n, action, grid = self.num_agents, actions["omnivore"].astype(jnp.int32), self._grid
        drawn = random_orders(key, 2 if self.move_priority == "random" else 1, n)
        attack_order = drawn[0] if attack_order is None else attack_order
        queue = queue_order(state.position[:, 0], self.map_size)
        move_order = drawn[1] if self.move_priority == "random" else queue

        def with_food(per_agent, food):  # food does nothing
            return jnp.concatenate([per_agent, jnp.full(len(self.food), food, jnp.int32)])

        cell, attacks = self._cell(state), OMNIVORE.attacks
        attack = with_food(attacks_of(OMNIVORE, action, attacks), NONE)
        move = with_food(moves_of(OMNIVORE, action, OMNIVORE.moves), NONE)
        attack_order, move_order = with_food(attack_order, 0), with_food(move_order, 0)
        fought = resolve_attacks(
            cell, state.hp, state.alive, attack, attack_order, self.damage, attacks, grid
        )
        alive, wall = state.alive & ~fought.killed, grid.border(True)
        cell = resolve_moves(cell, alive, move, move_order, wall, OMNIVORE.moves, grid)
        return GatherState(
            position=grid.position_of(cell[:n]),
            hp=jnp.where(alive, fought.hp, 0.0),
            alive=alive,
            was_alive=state.alive,
            last_action=jnp.where(state.alive[:n], action, state.last_action),
            reward=self._reward(state.alive, fought),
            earlier_reward=state.reward,
            time=state.time + 1,
        )

    def observe(self, state: GatherState) -> TimeStep:
        """Returns the time step of a state."""
        n = self.num_agents
        survivors, food = jnp.sum(state.alive[:n]), jnp.sum(state.alive[n:])
        over = (survivors == 0) | (food == 0)
        acted = state.was_alive[:n] & (state.time > 0)
        position = self._grid.position_of(self._cell(state))
        place = obs.bin_of(position, self.map_size, VIEW)
        hp = state.hp / self._max_hp
        return TimeStep(
            observation={"omnivore": self._observation(state, place)},
            action_mask={},
            alive={"omnivore": state.alive[:n]},
            state=obs.overview(place, state.alive, hp, self._group, VIEW),
            reward={"omnivore": state.reward},
            discount={"omnivore": (state.alive[:n] & ~over).astype(jnp.float32)},
            last=over | (state.time >= self.max_steps),
            mean_action=self._mean_action(state.last_action, acted),
            extras={
                "food": food.astype(jnp.int32),
                "killed": (n - survivors).astype(jnp.int32),
            },
        )

    def mean_action(self, state: GatherState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the mean one-hot action, {"omnivore": [n, 33]}, if `actions` are played now."""
        return self._mean_action(actions["omnivore"], state.alive[: self.num_agents])

    def render(self, state: GatherState) -> jax.Array:
        """Returns an image [H, W, 3] uint8: omnivores and food, paler the less of it is left."""
        n = self.num_agents
        counts = jnp.stack([jnp.sum(state.alive[:n]), jnp.sum(state.alive[n:])])
        strength, wall = state.hp / self._max_hp, self._grid.border(True)
        return render(
            self._grid,
            wall,
            self._cell(state),
            state.alive,
            strength,
            self._group,
            FIGURES,
            counts,
            state.time,
        )

    @property
    def _grid(self) -> Grid:
        return Grid(self.map_size, VIEW_RADIUS)

    @property
    def _group(self) -> np.ndarray:
        return group_index({"omnivore": self.num_agents, "food": len(self.food)})

    @property
    def _max_hp(self) -> jax.Array:
        return jnp.where(self._group == 0, self.max_hp, self.food_hp).astype(jnp.float32)

    def _cell(self, state: GatherState) -> jax.Array:
        food = self._grid.cell_of(np.array(self.food, np.int32))
        return jnp.concatenate([self._grid.cell_of(state.position), food])

    def _mean_action(self, action: jax.Array, acted: jax.Array) -> dict[str, jax.Array]:
        return {"omnivore": mean_one_hot(action, acted, OMNIVORE.num_actions)}

    def _reward(self, alive: jax.Array, fought: Attacks) -> jax.Array:
        n = self.num_agents
        alive, struck, killed, hit, killer, victim = (
            part[:n]
            for part in (
                alive,
                fought.struck,
                fought.killed,
                fought.hit,
                fought.killer,
                fought.victim,
            )
        )
        on_food = victim >= n
        reward = jnp.full(n, self.step_reward, jnp.float32)
        attack = self.attack_penalty + jnp.where(killer & on_food, self.kill_reward, 0.0)
        reward = jnp.where(struck, reward + attack, reward)
        reward = jnp.where(killed, self.death_reward, reward)
        reward = jnp.where(hit & on_food, reward + self.hit_reward, reward)
        return jnp.where(alive, reward, 0.0)

    def _observation(self, state: GatherState, place: jax.Array) -> dict[str, jax.Array]:
        # Before removal, those just killed are still counted, and look around one last time.
        n, group = self.num_agents, self._group
        listed = state.was_alive if self.observe_before_removal else state.alive
        reward = state.earlier_reward if self.observe_before_removal else state.reward
        channels = obs.num_channels(2, self.minimap)
        channel = obs.channels_of(group, 0, 2, self.minimap)
        image = obs.map_image(
            self._grid,
            self._grid.border(False),
            self._cell(state),
            state.alive,
            state.hp / self._max_hp,
            channel,
            channels,
        )
        minimap = None
        if self.minimap:
            drawn = obs.minimap_image(place, listed, group, channel, VIEW, channels)
            minimap = obs.Minimap(drawn, place[:n])
        return {
            "view": obs.views(image, state.position, MASK, listed[:n], minimap),
            "features": obs.features(
                jnp.arange(n, dtype=jnp.int32),
                state.last_action,
                reward,
                listed[:n],
                self.id_bits,
                OMNIVORE.num_actions,
                state.position / self.map_size if self.minimap else None,
            ),
        }


def gather(
    *,
    map_size: int = 200,
    num_omnivores: int | None = None,
    num_food: int | None = None,
    max_steps: int = 500,
    move_priority: str = "queue",
    minimap: bool = False,
    id_bits: int = 0,
    observe_before_removal: bool = True,
    step_reward: float = -0.01,
    kill_reward: float = 5.0,
    death_reward: float = -1.0,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.5,
    damage: float = 6.0,
    max_hp: float = 3.0,
    food_hp: float = 25.0,
) -> Gather:
    """Returns gather_v5 of MAgent2; by default 495 omnivores and 2272 pieces of food.

    Args:
      map_size: cells along a side, with the ring of wall; 20 or more. The published layout is
        scaled to it.
      num_omnivores: by default as many as the layout has, or fewer, spread over its places.
      num_food: likewise.
      max_steps: the time limit.
      move_priority: "queue", the order of MAgent, or "random", drawn every step.
      minimap: whether views have the minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31; none in the published game.
      observe_before_removal: whether observations are those of MAgent2, taken while those just
        killed are still listed: they get a last observation and count in the minimaps, and the
        last reward shown is one step old.
      step_reward: for every living agent, every step.
      kill_reward: for the bite that finishes food.
      death_reward: for being killed.
      attack_penalty: for every attack, a number added: negative punishes.
      hit_reward: for a bite that leaves some of the food.
      damage: hp that a bite takes, above 0.
      max_hp: hp of omnivores, above 0.
      food_hp: hp of food, above 0.

    Raises:
      ValueError: naming the argument.
    """
    require(map_size >= 20, "map_size", "at least 20", map_size)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    require(0 <= id_bits <= 31, "id_bits", "in 0..31", id_bits)
    require(damage > 0, "damage", "above 0", damage)
    require(max_hp > 0, "max_hp", "above 0", max_hp)
    require(food_hp > 0, "food_hp", "above 0", food_hp)
    lookup(dict.fromkeys(("queue", "random")), move_priority, "move_priority")
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
