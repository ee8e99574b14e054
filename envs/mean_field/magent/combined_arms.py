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

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, RED
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks
from jaxmarl_core.envs.mean_field.magent.grid import Cells
from jaxmarl_core.envs.mean_field.magent.kinds import kind
from jaxmarl_core.envs.mean_field.magent.render import Figure
from jaxmarl_core.envs.mean_field.magent.world import (
    World,
    WorldState,
    beginning,
    check_options,
    winner,
)
from jaxmarl_core.errors import require
from jaxmarl_core.types import Actions, Key

MELEE = kind(speed=1, attack_radius=1, view_radius=6)
RANGED = kind(speed=2, attack_radius=2, view_radius=6)
KINDS = {"redmelee": MELEE, "redranged": RANGED, "bluemelee": MELEE, "blueranged": RANGED}


@struct.dataclass
class CombinedArmsState(WorldState):
    """Where the fight stands. Agents stand group after group, in the order of `KINDS`."""

    kills: jax.Array  # [2] int32, enemies killed by red and by blue


@struct.dataclass
class CombinedArms(World):
    """Two teams, red (0) and blue (1), each of melee and ranged agents.

    Melee agents move one cell and strike the four neighbours; ranged ones move and strike up to two
    cells far. Groups: "redmelee", "redranged", "bluemelee", "blueranged".

    - observation: {"view": [n, 13, 13, C] f32, "features": [n, F] f32}, see `observation`; C is 9,
      and 13 with minimaps; F is id_bits + actions + 1, and 2 more (x and y) with minimaps. Groups
      come in the order above, in a circle from the observer's own. Rows of the dead are zero.
    - action: [n] int32; melee 0..8: 0-4 move, 2 stays, 5-8 strike; ranged 0..24: 0-12 move, 6
      stays, 13-24 strike. The actions of the dead are ignored; others are not defined.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when a group is wiped out; `max_steps`
      sets `last` alone.
    - state: [1352] f32, an image [13, 13, 8] of the map in minimap bins, see `World`.
    - mean_action: [n, A] f32, see `World`.
    - extras: "winner" [] int32, at the end the team with more survivors, -1 for a tie and before
      the end; "kills" [2] int32, enemies killed so far by red and by blue; "team_figures", those
      and "losses" [2] int32, how many of red and of blue are gone.
    """

    melee_hp: float
    ranged_hp: float
    damage: float
    recovery: float
    step_reward: float
    kill_reward: float
    death_reward: float
    attack_penalty: float
    hit_reward: float
    starts: tuple[Cells, ...] = struct.field(pytree_node=False)  # of each group

    KINDS: ClassVar = KINDS
    TEAMS = (0, 0, 1, 1)
    MOVES, ATTACKS = RANGED.moves, RANGED.attacks  # the melee can do a part of it
    FIGURES = (
        Figure("melee", RED, "square"),
        Figure("ranged", RED, "diamond"),
        Figure("melee", BLUE, "square"),
        Figure("ranged", BLUE, "diamond"),
    )

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(cells) for name, cells in zip(KINDS, self.starts)}

    @property
    def full_hp(self) -> jax.Array:
        is_ranged = self.group % 2 == 1
        return jnp.where(is_ranged, self.ranged_hp, self.melee_hp).astype(jnp.float32)

    def initial(self, key: Key) -> CombinedArmsState:
        """Returns the state at the start of an episode, always the same."""
        position = jnp.asarray(np.concatenate(self.starts), jnp.int32)
        start = beginning(position, self.full_hp)
        return CombinedArmsState(**start, kills=jnp.zeros(2, jnp.int32))

    def turn(
        self,
        state: CombinedArmsState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> CombinedArmsState:
        """Returns the state after attacks, recovery and moves."""
        fought = self.fight(state, actions, attack_order, self.damage)
        hp = jnp.minimum(fought.hp + self.recovery, self.full_hp)
        after = self.move(state, actions, move_order, hp, state.alive & ~fought.killed)
        team = jnp.asarray(self.group // 2)
        enemy = team[fought.victim] != team
        kills = [jnp.sum(fought.killer & enemy & (team == side)) for side in (0, 1)]
        return after.replace(
            reward=self._reward(state.alive, fought, enemy),
            kills=state.kills + jnp.stack(kills).astype(jnp.int32),
        )

    def _reward(self, alive: jax.Array, fought: Attacks, enemy: jax.Array) -> jax.Array:
        reward = jnp.full(alive.shape, self.step_reward, jnp.float32)
        reward = jnp.where(fought.struck, reward + self.attack_penalty, reward)
        reward = jnp.where(fought.killed, self.death_reward, reward)
        reward = jnp.where(fought.hit & enemy, reward + self.hit_reward, reward)
        reward = jnp.where(fought.killer & enemy, reward + self.kill_reward, reward)
        return jnp.where(alive, reward, 0.0)

    def extras(self, state: CombinedArmsState, last: jax.Array) -> dict[str, Any]:
        of_teams = self.survivors(state).reshape(2, 2).sum(1)
        sizes = np.asarray(list(self.sizes.values()), np.int32).reshape(2, 2).sum(1)
        figures = {"kills": state.kills, "losses": sizes - of_teams}
        won = winner(of_teams, last)
        return {"winner": won, "kills": state.kills, "team_figures": figures}


def combined_arms(
    *,
    map_size: int = 45,
    num_melee: int | None = None,
    num_ranged: int | None = None,
    max_steps: int = 1000,
    melee_hp: float = 10.0,
    ranged_hp: float = 3.0,
    damage: float = 2.0,
    recovery: float = 0.1,
    step_reward: float = -0.005,
    kill_reward: float = 5.0,
    death_reward: float = -0.1,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.2,
    move_priority: str = "queue",
    minimap: bool = False,
    id_bits: int = 10,
    observe_before_removal: bool = True,
) -> CombinedArms:
    """Returns combined_arms_v6 of MAgent2; by default 45 melee and 36 ranged agents a side.

    Args:
      map_size: cells along a side, with the ring of wall; 16 or more.
      num_melee: melee agents of either team; by default all that the map's starting square holds,
        and at most so many.
      num_ranged: ranged agents of either team, likewise.
      max_steps: the time limit.
      melee_hp: hp of melee agents at the start and at most, above 0.
      ranged_hp: hp of ranged agents, likewise.
      damage: hp that a blow takes, above 0.
      recovery: hp regained every step, 0 or more.
      step_reward: for every living agent, every step.
      kill_reward: for the blow that kills an enemy.
      death_reward: for being killed, by whomever.
      attack_penalty: for every attack, a number added: negative punishes.
      hit_reward: for a blow that an enemy survives.
      move_priority: "queue", red before blue, melee before ranged and then by index, or "random",
        drawn every step.
      minimap: whether views have the minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31.
      observe_before_removal: whether observations are those of MAgent2, taken while those just
        killed are still listed: they get a last observation and count in the minimaps, and the
        last reward shown is one step old.

    Raises:
      ValueError: naming the argument.
    """
    check_options(
        16,
        map_size=map_size,
        max_steps=max_steps,
        id_bits=id_bits,
        move_priority=move_priority,
        damage=damage,
        melee_hp=melee_hp,
        ranged_hp=ranged_hp,
    )
    require(recovery >= 0, "recovery", "at least 0", recovery)
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
    square = lambda columns, first: tuple((x, y) for x in columns[first::2] for y in rows)
    return tuple((square(columns, 0), square(columns, 1)) for columns in (left, right))
