"""Combined arms: two armies of slow, strong fighters and quick, frail archers, on one grid.

combined_arms_v6 of MAgent2 (Zheng et al., 2018, arXiv:1712.00600; Terry et al., 2021). One step:
all attacks in a random order, recovery, then all moves one by one. Unlike in the battle, blows hurt
whoever stands there, friend or foe. Rewards of a step add up in this order:

    step_reward; attack_penalty for an attack; all replaced by death_reward for those killed;
    hit_reward for a blow that an enemy survived, kill_reward for a blow that killed one

so that, unlike in the battle, an agent that kills and is killed later in the step keeps its
kill_reward. The game ends when *any* of the four groups is gone, not only when a team is: so the
published engine has it.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, RED
from jaxmarl_core.envs.mean_field.magent import observation as obs
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks, resolve_attacks
from jaxmarl_core.envs.mean_field.magent.grid import Grid
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
    split,
)
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

VIEW_RADIUS = 6
VIEW = 2 * VIEW_RADIUS + 1
MASK = obs.round_mask(VIEW_RADIUS)
MELEE, RANGED = kind(speed=1, reach=1), kind(speed=2, reach=2)
MOVES, ATTACKS = RANGED  # the tables hold what the melee can do as well
KINDS = {"redmelee": MELEE, "redranged": RANGED, "bluemelee": MELEE, "blueranged": RANGED}
FIGURES = (
    Figure("melee", RED, "square"),
    Figure("ranged", RED, "diamond"),
    Figure("melee", BLUE, "square"),
    Figure("ranged", BLUE, "diamond"),
)
Cells = tuple[tuple[int, int], ...]


@struct.dataclass
class CombinedArmsState:
    """Where the fight stands. Agents stand group after group, in the order of `KINDS`."""

    position: jax.Array  # [N, 2] int32 (x, y); the dead keep their last cell
    hp: jax.Array  # [N] f32; 0 for the dead
    alive: jax.Array  # [N] bool
    acted: jax.Array  # [N] bool, alive before the last step; all true at the start
    last_action: jax.Array  # [N] int32, -1 before the first
    reward: jax.Array  # [N] f32, of the last step
    earlier_reward: jax.Array  # [N] f32, of the step before it
    kills: jax.Array  # [2] int32, enemies killed by red and by blue
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class CombinedArms(StateEnvironment):
    """Two teams, red (0) and blue (1), each of melee and ranged units.

    Melee units move one cell and strike the four neighbours; ranged ones move and strike up to two
    cells far. Groups: "redmelee", "redranged", "bluemelee", "blueranged".

    - observation: {"view": [n, 13, 13, C] f32, "features": [n, F] f32}, see `observation`; C is 9,
      and 13 with minimaps; F is id_bits + actions + 1, and 2 more (x and y) with minimaps. Groups
      come in the order above, in a circle from the observer's own. Rows of the dead are zero.
    - action: [n] int32; melee 0..8: 0-4 move, 2 stays, 5-8 strike; ranged 0..24: 0-12 move, 6
      stays, 13-24 strike. The actions of the dead are ignored; others are not defined.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when a group is wiped out; `max_steps`
      sets `last` alone.
    - state: [1352] f32, an image [13, 13, 8] of the map in minimap bins, see `overview`.
    - mean_action: [n, A] f32, the mean one-hot action of the own group's members that acted in the
      last step, those it killed included; zero at the start.
    - extras: "winner" [] int32, at the end the team with more survivors, -1 for a tie and before
      the end; "kills" [2] int32, enemies killed so far by red and by blue.
    """

    step_reward: float
    kill_reward: float
    death_reward: float
    attack_penalty: float
    hit_reward: float
    damage: float
    recovery: float
    melee_hp: float
    ranged_hp: float
    map_size: int = struct.field(pytree_node=False)
    starts: tuple[Cells, ...] = struct.field(pytree_node=False)  # of each group
    max_steps: int = struct.field(pytree_node=False)
    move_priority: str = struct.field(pytree_node=False)  # "queue" or "random"
    minimap: bool = struct.field(pytree_node=False)
    id_bits: int = struct.field(pytree_node=False)
    observe_before_removal: bool = struct.field(pytree_node=False)

    @property
    def sizes(self) -> dict[str, int]:
        """How many agents each group has."""
        return {name: len(cells) for name, cells in zip(KINDS, self.starts)}

    @property
    def num_agents(self) -> int:
        return sum(self.sizes.values())

    @property
    def groups(self) -> Mapping[str, Group]:
        view = Box((VIEW, VIEW, obs.num_channels(len(KINDS), self.minimap)), 0.0, 2.0)
        groups = {}
        for name, size in self.sizes.items():
            num_actions = KINDS[name].num_actions
            features = Box((self.id_bits + num_actions + 1 + 2 * self.minimap,))
            space = Composite({"view": view, "features": features})
            groups[name] = Group(size, space, Discrete(num_actions), int(name.startswith("blue")))
        return groups

    def initial(self, key: Key) -> CombinedArmsState:
        """Returns the state at the start of an episode, always the same."""
        n = self.num_agents
        return CombinedArmsState(
            position=jnp.asarray(np.concatenate(self.starts), jnp.int32),
            hp=self._max_hp,
            alive=jnp.ones(n, bool),
            acted=jnp.ones(n, bool),
            last_action=jnp.full(n, -1, jnp.int32),
            reward=jnp.zeros(n),
            earlier_reward=jnp.zeros(n),
            kills=jnp.zeros(2, jnp.int32),
            time=jnp.int32(0),
        )

    def advance(
        self,
        key: Key,
        state: CombinedArmsState,
        actions: Actions,
        attack_order: jax.Array | None = None,
    ) -> CombinedArmsState:
        """Returns the state that the joint action leads to.

        Args:
          key: a PRNG key.
          state: the state before.
          actions: {group: [n] int32}.
          attack_order: [N] int32 >= 0, each agent's place in the order of attacks, distinct among
            the attackers; drawn if None.
        """
        drawn = random_orders(key, 2 if self.move_priority == "random" else 1, self.num_agents)
        attack_order = drawn[0] if attack_order is None else attack_order
        queue = queue_order(state.position[:, 0], self.map_size)
        move_order = drawn[1] if self.move_priority == "random" else queue

        cell, grid = self._grid.cell_of(state.position), self._grid
        attack = self._joined({n: attacks_of(KINDS[n], actions[n], ATTACKS) for n in KINDS})
        move = self._joined({n: moves_of(KINDS[n], actions[n], MOVES) for n in KINDS})
        fought = resolve_attacks(
            cell, state.hp, state.alive, attack, attack_order, self.damage, ATTACKS, grid
        )
        alive = state.alive & ~fought.killed
        hp = jnp.minimum(fought.hp + self.recovery, self._max_hp)
        cell = resolve_moves(cell, alive, move, move_order, grid.border(True), MOVES, grid)

        enemy = self._team[fought.victim] != self._team
        kills = [jnp.sum(fought.killer & enemy & (self._team == team)) for team in (0, 1)]
        return CombinedArmsState(
            position=grid.position_of(cell),
            hp=jnp.where(alive, hp, 0.0),
            alive=alive,
            acted=state.alive,
            last_action=jnp.where(state.alive, self._joined(actions), state.last_action),
            reward=self._reward(state.alive, fought, enemy),
            earlier_reward=state.reward,
            kills=state.kills + jnp.stack(kills).astype(jnp.int32),
            time=state.time + 1,
        )

    def observe(self, state: CombinedArmsState) -> TimeStep:
        """Returns the time step of a state."""
        survivors = jnp.stack([jnp.sum(part) for part in self._split(state.alive).values()])
        over = jnp.any(survivors == 0)
        last = over | (state.time >= self.max_steps)
        red, blue = survivors[0] + survivors[1], survivors[2] + survivors[3]
        ahead = jnp.where(red == blue, -1, blue > red)
        place = obs.bin_of(state.position, self.map_size, VIEW)
        hp = state.hp / self._max_hp
        return TimeStep(
            observation=self._observation(state),
            action_mask={},
            alive=self._split(state.alive),
            state=obs.overview(place, state.alive, hp, self._group, VIEW),
            reward=self._split(state.reward),
            discount=self._split((state.alive & ~over).astype(jnp.float32)),
            last=last,
            mean_action=self._mean_action(
                self._split(state.last_action), state.acted & (state.time > 0)
            ),
            extras={
                "winner": jnp.where(last, ahead, -1).astype(jnp.int32),
                "kills": state.kills,
            },
        )

    def mean_action(self, state: CombinedArmsState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the groups' mean one-hot action, {group: [n, A]}, if `actions` are played now."""
        return self._mean_action(actions, state.alive)

    def render(self, state: CombinedArmsState) -> jax.Array:
        """Returns an image [H, W, 3] uint8: squares are melee, diamonds ranged, pale ones hurt."""
        survivors = [jnp.sum(part) for part in self._split(state.alive).values()]
        cell, wall = self._grid.cell_of(state.position), self._grid.border(True)
        strength, counts = state.hp / self._max_hp, jnp.stack(survivors)
        return render(
            self._grid, wall, cell, state.alive, strength, self._group, FIGURES, counts, state.time
        )

    @property
    def _grid(self) -> Grid:
        return Grid(self.map_size, VIEW_RADIUS)

    @property
    def _group(self) -> np.ndarray:
        return group_index(self.sizes)

    @property
    def _team(self) -> jax.Array:
        return jnp.asarray(self._group // 2)

    @property
    def _max_hp(self) -> jax.Array:
        is_ranged = self._group % 2 == 1
        return jnp.where(is_ranged, self.ranged_hp, self.melee_hp).astype(jnp.float32)

    def _joined(self, per_group: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.concatenate([per_group[name] for name in KINDS]).astype(jnp.int32)

    def _split(self, per_agent: jax.Array) -> dict[str, jax.Array]:
        return split(per_agent, self.sizes)

    def _mean_action(self, action: Mapping[str, jax.Array], acted: jax.Array):
        acted = self._split(acted)
        return {n: mean_one_hot(action[n], acted[n], k.num_actions) for n, k in KINDS.items()}

    def _reward(self, alive: jax.Array, fought: Attacks, enemy: jax.Array) -> jax.Array:
        reward = jnp.full(alive.shape, self.step_reward, jnp.float32)
        reward = jnp.where(fought.struck, reward + self.attack_penalty, reward)
        reward = jnp.where(fought.killed, self.death_reward, reward)
        reward = jnp.where(fought.hit & enemy, reward + self.hit_reward, reward)
        reward = jnp.where(fought.killer & enemy, reward + self.kill_reward, reward)
        return jnp.where(alive, reward, 0.0)

    def _observation(self, state: CombinedArmsState) -> dict[str, dict[str, jax.Array]]:
        # Before removal, those just killed are still counted, and look around one last time.
        listed = state.acted if self.observe_before_removal else state.alive
        reward = state.earlier_reward if self.observe_before_removal else state.reward
        cell, wall = self._grid.cell_of(state.position), self._grid.border(False)
        place = obs.bin_of(state.position, self.map_size, VIEW)
        identity = jnp.arange(self.num_agents, dtype=jnp.int32)
        rows = (identity, state.last_action, reward, listed)
        identity, action, reward, visible = (self._split(row) for row in rows)
        corner, bins = self._split(state.position), self._split(place)
        where = self._split(state.position / self.map_size)
        channels = obs.num_channels(len(KINDS), self.minimap)
        seen = {}
        for g, name in enumerate(KINDS):
            channel = obs.channels_of(self._group, g, len(KINDS), self.minimap)
            image = obs.map_image(
                self._grid, wall, cell, state.alive, state.hp / self._max_hp, channel, channels
            )
            minimap = None
            if self.minimap:
                drawn = obs.minimap_image(place, listed, self._group, channel, VIEW, channels)
                minimap = obs.Minimap(drawn, bins[name])
            seen[name] = {
                "view": obs.views(image, corner[name], MASK, visible[name], minimap),
                "features": obs.features(
                    identity[name],
                    action[name],
                    reward[name],
                    visible[name],
                    self.id_bits,
                    KINDS[name].num_actions,
                    where[name] if self.minimap else None,
                ),
            }
        return seen


def combined_arms(
    *,
    map_size: int = 45,
    num_melee: int | None = None,
    num_ranged: int | None = None,
    max_steps: int = 1000,
    move_priority: str = "queue",
    minimap: bool = False,
    id_bits: int = 10,
    observe_before_removal: bool = True,
    step_reward: float = -0.005,
    kill_reward: float = 5.0,
    death_reward: float = -0.1,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.2,
    damage: float = 2.0,
    recovery: float = 0.1,
    melee_hp: float = 10.0,
    ranged_hp: float = 3.0,
) -> CombinedArms:
    """Returns combined_arms_v6 of MAgent2; by default 45 melee and 36 ranged units a side.

    Args:
      map_size: cells along a side, with the ring of wall; 16 or more.
      num_melee: melee units of either team; by default all that the map's starting square holds,
        and at most so many.
      num_ranged: ranged units of either team, likewise.
      max_steps: the time limit.
      move_priority: "queue", red before blue, melee before ranged and then by index, or "random",
        drawn every step.
      minimap: whether views have the minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31.
      observe_before_removal: whether observations are those of MAgent2, taken while those just
        killed are still listed: they get a last observation and count in the minimaps, and the
        last reward shown is one step old.
      step_reward: for every living agent, every step.
      kill_reward: for the blow that kills an enemy.
      death_reward: for being killed, by whomever.
      attack_penalty: for every attack, a number added: negative punishes.
      hit_reward: for a blow that an enemy survives.
      damage: hp that a blow takes, above 0.
      recovery: hp regained every step, 0 or more.
      melee_hp: hp of melee units at the start and at most, above 0.
      ranged_hp: hp of ranged units, likewise.

    Raises:
      ValueError: naming the argument.
    """
    require(map_size >= 16, "map_size", "at least 16", map_size)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    require(0 <= id_bits <= 31, "id_bits", "in 0..31", id_bits)
    require(damage > 0, "damage", "above 0", damage)
    require(recovery >= 0, "recovery", "at least 0", recovery)
    require(melee_hp > 0, "melee_hp", "above 0", melee_hp)
    require(ranged_hp > 0, "ranged_hp", "above 0", ranged_hp)
    lookup(dict.fromkeys(("queue", "random")), move_priority, "move_priority")
    starts = []
    for square in starting_squares(map_size):
        for field, number, cells in zip(
            ("num_melee", "num_ranged"), (num_melee, num_ranged), square
        ):
            number = len(cells) if number is None else number
            room = f"in 1..{len(cells)}, the places of the starting square"
            require(1 <= number <= len(cells), field, room, number)
            starts.append(cells[:number])
    return CombinedArms(
        step_reward=step_reward,
        kill_reward=kill_reward,
        death_reward=death_reward,
        attack_penalty=attack_penalty,
        hit_reward=hit_reward,
        damage=damage,
        recovery=recovery,
        melee_hp=melee_hp,
        ranged_hp=ranged_hp,
        map_size=map_size,
        starts=tuple(starts),
        max_steps=max_steps,
        move_priority=move_priority,
        minimap=minimap,
        id_bits=id_bits,
        observe_before_removal=observe_before_removal,
    )


def starting_squares(map_size: int) -> tuple[tuple[Cells, Cells], ...]:
    """Returns the cells of (melee, ranged) of the left army and of the right one.

    The sparse square of the battle, with every second cell filled; its columns are melee and ranged
    in turn.
    """
    middle, side = map_size // 2, 2 * (map_size // 5)
    top = (map_size - side) // 2
    left = range(max(middle - 3 - side, 1), middle - 3, 2)
    right = range(middle + 3, min(middle + 3 + side, map_size - 1), 2)[: len(left)]
    rows = range(top, top + side, 2)
    return tuple(
        tuple(tuple((x, y) for x in columns[first::2] for y in rows) for first in (0, 1))
        for columns in (left, right)
    )
