"""The battle: two armies on a grid, who jump and strike at the same time.

Zheng et al., 2018, arXiv:1712.00600 (MAgent), as played by Yang et al., 2018, arXiv:1802.05438
(mean-field MARL) and by battle_v4 of MAgent2. One step: all attacks in a random order, recovery,
then all moves one by one. Rewards of a step add up in this order:

    step_reward; attack_penalty for an attack; kill_reward for a kill;
    all replaced by death_reward for those killed; hit_reward for a blow the enemy survived

so that an agent which kills and is killed later in the same step ends at death_reward, and one
that hits and is killed still gets its hit_reward: both as the published engine pays them, both
with a flag. Moves are played in the engine's order (see `queue_order`: red before blue, then by
index), which favours red where two want one cell, or in a fresh random order, which is fair.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.drawing import BLUE, RED
from jaxmarl_core.envs.mean_field.magent.attacks import Attacks
from jaxmarl_core.envs.mean_field.magent.grid import Cells
from jaxmarl_core.envs.mean_field.magent.kinds import enemies, kind
from jaxmarl_core.envs.mean_field.magent.render import Figure
from jaxmarl_core.envs.mean_field.magent.world import World, WorldState, beginning, winner
from jaxmarl_core.types import Actions, Key

SOLDIER = kind(speed=2, attack_radius=1.5, view_radius=6)


@struct.dataclass
class BattleState(WorldState):
    """Where the battle stands. Agents 0 ... num_red - 1 are red, the rest blue."""

    kills: jax.Array  # [2] int32, by red and by blue
    left_team: jax.Array  # [] int32, the team that started on the left and has the lower ids


@struct.dataclass
class Battle(World):
    """Two teams, red (0) and blue (1), fight until one is gone or time is up.

    - observation: {"view": [n, 13, 13, C] f32, "features": [n, F] f32}, see `observation`; C is 7
      with a minimap and 5 without, F is 34 and 32 with ten id bits. Rows of the dead are zero.
    - action: [n] int32 in 0..20: 0-12 move within radius 2, 6 stays, 13-20 strike a neighbour.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when a team is wiped out; `max_steps`
      sets `last` alone.
    - state: [676] f32, an image [13, 13, 4] of the map in minimap bins: the members of red and of
      blue over the team's size at the start, then the same weighted by hp as a fraction.
    - mean_action: [n, 21] f32, of the own team, see `World`.
    - extras: "winner" [] int32, at the end the team with more survivors, -1 for a tie and before
      the end; "kills" [2] int32, enemies killed so far by red and by blue; "team_figures", those
      and "losses" [2] int32, how many of red and of blue are gone.
    """

    step_reward: float
    kill_reward: float
    death_reward: float
    attack_penalty: float
    hit_reward: float
    damage: float
    recovery: float
    max_hp: float
    num_red: int = struct.field(pytree_node=False)
    num_blue: int = struct.field(pytree_node=False)
    walls: Cells = struct.field(pytree_node=False)
    starts: tuple[Cells, Cells] = struct.field(pytree_node=False)  # red on the left; on the right
    left: str = struct.field(pytree_node=False)  # "red", "blue" or "random"
    outside_is_wall: bool = struct.field(pytree_node=False)
    death_overwrites: bool = struct.field(pytree_node=False)
    dead_keep_hit_reward: bool = struct.field(pytree_node=False)

    KINDS: ClassVar = {"red": SOLDIER, "blue": SOLDIER}
    MOVES, ATTACKS = SOLDIER.moves, SOLDIER.attacks
    FIGURES = (Figure("red", RED, "square"), Figure("blue", BLUE, "square"))

    @property
    def sizes(self) -> dict[str, int]:
        return {"red": self.num_red, "blue": self.num_blue}

    @property
    def full_hp(self) -> jax.Array:
        return jnp.full(self.num_agents, self.max_hp, jnp.float32)

    def initial(self, key: Key) -> BattleState:
        """Returns the state at the start of an episode."""
        coin = {
            "red": jnp.int32(0),
            "blue": jnp.int32(1),
            "random": jax.random.bernoulli(key).astype(jnp.int32),
        }
        left_team = coin[self.left]
        position = jnp.asarray(self.starts, jnp.int32)[left_team]
        start = beginning(position, self.full_hp)
        return BattleState(**start, kills=jnp.zeros(2, jnp.int32), left_team=left_team)

    def turn(
        self,
        state: BattleState,
        actions: Actions,
        attack_order: jax.Array,
        move_order: jax.Array,
    ) -> BattleState:
        """Returns the state after attacks, recovery and moves."""
        foes = enemies(self.num_red)
        fought = self.fight(state, actions, attack_order, self.damage, foes)
        hp = jnp.minimum(fought.hp + self.recovery, self.max_hp)
        after = self.move(state, actions, move_order, hp, state.alive & ~fought.killed)
        dead = jnp.stack([jnp.sum(part) for part in self.split(~after.alive).values()])
        reward = self._reward(state.alive, fought)
        return after.replace(reward=reward, kills=dead[::-1].astype(jnp.int32))

    def _reward(self, alive: jax.Array, fought: Attacks) -> jax.Array:
        reward = jnp.full(alive.shape, self.step_reward, jnp.float32)
        attack = self.attack_penalty + jnp.where(fought.killer, self.kill_reward, 0.0)
        reward = jnp.where(fought.struck, reward + attack, reward)
        if self.death_overwrites:
            reward = jnp.where(fought.killed, self.death_reward, reward)
        else:
            reward = jnp.where(fought.killed, reward + self.death_reward, reward)
        paid = fought.hit if self.dead_keep_hit_reward else fought.hit & ~fought.killed
        reward = jnp.where(paid, reward + self.hit_reward, reward)
        return jnp.where(alive, reward, 0.0)

    def extras(self, state: BattleState, last: jax.Array) -> dict[str, Any]:
        figures = {"kills": state.kills, "losses": state.kills[::-1]}
        won = winner(self.survivors(state), last)
        return {"winner": won, "kills": state.kills, "team_figures": figures}

    def wall(self, state: BattleState, outside: bool = True) -> np.ndarray:
        wall = self.grid.border(outside or self.outside_is_wall)
        for x, y in self.walls:
            wall[self.grid.inner][y, x] = True
        return wall

    def identity(self, state: BattleState) -> jax.Array:
        # Ids count up from 0 over the team on the left, then over the other.
        index = np.arange(self.num_agents)
        red_first, blue_first = index, (index + self.num_blue) % self.num_agents
        return jnp.where(state.left_team == 0, red_first, blue_first)
