"""The battle: two armies on a grid, who jump and strike at the same time.

Zheng et al., 2018, arXiv:1712.00600 (MAgent), as played by Yang et al., 2018, arXiv:1802.05438
(mean-field MARL) and by battle_v4 of MAgent2. One step: all attacks in a random order, recovery,
then all moves one by one. Rewards of a step add up in this order:

    step_reward; attack_penalty for an attack; kill_reward for a kill;
    all replaced by death_reward for those killed; hit_reward for a blow the enemy survived

so that an agent which kills and is killed later in the same step ends at death_reward, and one
that hits and is killed still gets its hit_reward: both as the published engine pays them, both
with a flag. Moves are played in the engine's order (red before blue, then by index), which favours
red where two want one cell, or in a fresh random order, which is fair. The engine cuts maps of
more than 99 x 99 cells into bands that move in turn; that order is left out, here moves follow
one rule on maps of any size.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.mean_field.battle import observation as obs
from jaxmarl_core.envs.mean_field.battle.actions import NUM_ACTIONS, team_mean_action
from jaxmarl_core.envs.mean_field.battle.attacks import resolve_attacks
from jaxmarl_core.envs.mean_field.battle.grid import Cells, cell_of, position_of, wall_map
from jaxmarl_core.envs.mean_field.battle.moves import resolve_moves
from jaxmarl_core.envs.mean_field.battle.render import render
from jaxmarl_core.envs.mean_field.magent.units import random_orders
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

TEAMS = ("red", "blue")


@struct.dataclass
class BattleState:
    """Where the battle stands. Agents 0 ... num_red - 1 are red, the rest blue."""

    position: jax.Array  # [N, 2] int32 (x, y); the dead keep their last cell
    hp: jax.Array  # [N] f32; 0 for the dead
    alive: jax.Array  # [N] bool
    acted: jax.Array  # [N] bool, alive before the last step; all true at the start
    last_action: jax.Array  # [N] int32, -1 before the first
    reward: jax.Array  # [N] f32, of the last step
    earlier_reward: jax.Array  # [N] f32, of the step before it
    kills: jax.Array  # [2] int32, by red and by blue
    time: jax.Array  # [] int32, steps played
    left_team: jax.Array  # [] int32, the team that started on the left and has the lower ids


@struct.dataclass
class Battle(StateEnvironment):
    """Two teams, red (0) and blue (1), fight until one is gone or time is up.

    - observation: {"view": [n, 13, 13, C] f32, "features": [n, F] f32}, see `observation`; C is 7
      with a minimap and 5 without, F is 34 and 32 with ten id bits. Rows of the dead are zero.
    - action: [n] int32 in 0..20: 0-12 move within radius 2, 6 stays, 13-20 strike a neighbour.
      The actions of the dead are ignored; others are not defined.
    - reward: [n] f32, see the module; 0 for those dead before the step.
    - termination: discount is 0 for the dead, and for all when a team is wiped out; `max_steps`
      sets `last` alone.
    - state: [676] f32, an image [13, 13, 4] of the map in minimap bins: the members of red and of
      blue over the team's size at the start, then the same weighted by hp as a fraction.
    - mean_action: [n, 21] f32, the mean one-hot action of the own team's members that acted in the
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
    max_hp: float
    map_size: int = struct.field(pytree_node=False)
    num_red: int = struct.field(pytree_node=False)
    num_blue: int = struct.field(pytree_node=False)
    walls: Cells = struct.field(pytree_node=False)
    starts: tuple[Cells, Cells] = struct.field(pytree_node=False)  # red on the left; on the right
    max_steps: int = struct.field(pytree_node=False)
    left: str = struct.field(pytree_node=False)  # "red", "blue" or "random"
    move_priority: str = struct.field(pytree_node=False)  # "queue" or "random"
    minimap: bool = struct.field(pytree_node=False)
    id_bits: int = struct.field(pytree_node=False)
    outside_is_wall: bool = struct.field(pytree_node=False)
    death_overwrites: bool = struct.field(pytree_node=False)
    dead_keep_hit_reward: bool = struct.field(pytree_node=False)
    observe_before_removal: bool = struct.field(pytree_node=False)

    @property
    def num_agents(self) -> int:
        return self.num_red + self.num_blue

    @property
    def groups(self) -> Mapping[str, Group]:
        view = Box((obs.VIEW, obs.VIEW, obs.num_channels(self.minimap)), 0.0, 2.0)
        features = Box((self.id_bits + NUM_ACTIONS + 1 + 2 * self.minimap,))
        space = Composite({"view": view, "features": features})
        return {
            "red": Group(self.num_red, space, Discrete(NUM_ACTIONS), team=0),
            "blue": Group(self.num_blue, space, Discrete(NUM_ACTIONS), team=1),
        }

    def initial(self, key: Key) -> BattleState:
        """Returns the state at the start of an episode."""
        coin = {
            "red": jnp.int32(0),
            "blue": jnp.int32(1),
            "random": jax.random.bernoulli(key).astype(jnp.int32),
        }
        left_team = coin[self.left]
        n = self.num_agents
        nothing = jnp.zeros(n)
        return BattleState(
            position=jnp.asarray(self.starts, jnp.int32)[left_team],
            hp=jnp.full(n, self.max_hp, jnp.float32),
            alive=jnp.ones(n, bool),
            acted=jnp.ones(n, bool),
            last_action=jnp.full(n, -1, jnp.int32),
            reward=nothing,
            earlier_reward=nothing,
            kills=jnp.zeros(2, jnp.int32),
            time=jnp.int32(0),
            left_team=left_team,
        )

    def step(
        self,
        key: Key,
        state: BattleState,
        actions: Actions,
        attack_order: jax.Array | None = None,
        move_order: jax.Array | None = None,
    ) -> tuple[BattleState, TimeStep]:
        """Returns the next state and its time step; arguments as in `advance`."""
        state = self.advance(key, state, actions, attack_order, move_order)
        return state, self.observe(state)

    def advance(
        self,
        key: Key,
        state: BattleState,
        actions: Actions,
        attack_order: jax.Array | None = None,
        move_order: jax.Array | None = None,
    ) -> BattleState:
        """Returns the state that the joint action leads to.

        Args:
          key: a PRNG key.
          state: the state before.
          actions: {"red": [num_red], "blue": [num_blue]} int32 in 0..20.
          attack_order: [N] int32 >= 0, each agent's place in the order of attacks, distinct among
            the attackers; drawn if None.
          move_order: [N] int32 in 0..2^26 - 1, the same for moves; by `move_priority` if None.
        """
        action = self._joined(actions)
        drawn = random_orders(key, 2 if self.move_priority == "random" else 1, self.num_agents)
        if attack_order is None:
            attack_order = drawn[0]
        if move_order is None:
            queue = jnp.arange(self.num_agents, dtype=jnp.int32)
            move_order = drawn[1] if self.move_priority == "random" else queue

        cell = cell_of(state.position, self.map_size)
        fought = resolve_attacks(
            cell,
            state.hp,
            state.alive,
            action,
            attack_order,
            self.num_red,
            self.damage,
            self.map_size,
        )
        alive = state.alive & ~fought.killed
        hp = jnp.minimum(fought.hp + self.recovery, self.max_hp)
        wall = wall_map(self.map_size, self.walls, True)
        cell = resolve_moves(cell, alive, action, move_order, wall, self.map_size)
        dead = jnp.stack([jnp.sum(part) for part in self._split(~alive).values()])
        return BattleState(
            position=position_of(cell, self.map_size),
            hp=jnp.where(alive, hp, 0.0),
            alive=alive,
            acted=state.alive,
            last_action=jnp.where(state.alive, action, state.last_action),
            reward=self._reward(state.alive, fought),
            earlier_reward=state.reward,
            kills=dead[::-1].astype(jnp.int32),
            time=state.time + 1,
            left_team=state.left_team,
        )

    def observe(self, state: BattleState) -> TimeStep:
        """Returns the time step of a state."""
        survivors = jnp.stack([jnp.sum(part) for part in self._split(state.alive).values()])
        wiped_out = jnp.any(survivors == 0)
        last = wiped_out | (state.time >= self.max_steps)
        ahead = jnp.where(survivors[0] == survivors[1], -1, jnp.argmax(survivors))
        discount = (state.alive & ~wiped_out).astype(jnp.float32)
        return TimeStep(
            observation=self._observation(state),
            action_mask={},
            alive=self._split(state.alive),
            state=self._overview(state),
            reward=self._split(state.reward),
            discount=self._split(discount),
            last=last,
            mean_action=self._mean_action(state.last_action, state.acted & (state.time > 0)),
            extras={
                "winner": jnp.where(last, ahead, -1).astype(jnp.int32),
                "kills": state.kills,
            },
        )

    def mean_action(self, state: BattleState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the teams' mean one-hot action, {team: [n, 21]}, if `actions` are played now."""
        return self._mean_action(self._joined(actions), state.alive)

    def render(self, state: BattleState) -> jax.Array:
        """Returns an image [H, W, 3] uint8 of the map, six pixels to a cell."""
        return render(state, self.max_hp, self.num_red, self.walls, self.map_size)

    @property
    def _team(self) -> jax.Array:
        return (jnp.arange(self.num_agents) >= self.num_red).astype(jnp.int32)

    def _joined(self, actions: Actions) -> jax.Array:
        return jnp.concatenate([actions[name] for name in TEAMS]).astype(jnp.int32)

    def _split(self, per_agent: jax.Array) -> dict[str, jax.Array]:
        return {"red": per_agent[: self.num_red], "blue": per_agent[self.num_red :]}

    def _mean_action(self, action: jax.Array, acted: jax.Array) -> dict[str, jax.Array]:
        action, acted = self._split(action), self._split(acted)
        return {name: team_mean_action(action[name], acted[name]) for name in TEAMS}

    def _reward(self, alive: jax.Array, fought) -> jax.Array:
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

    def _listed(self, state: BattleState) -> jax.Array:
        # Before removal, those just killed are still counted, and look around one last time.
        return state.acted if self.observe_before_removal else state.alive

    def _observation(self, state: BattleState) -> dict[str, dict[str, jax.Array]]:
        listed = self._listed(state)
        images = obs.team_images(
            cell_of(state.position, self.map_size),
            state.alive,
            state.hp / self.max_hp,
            self.num_red,
            wall_map(self.map_size, self.walls, self.outside_is_wall),
            self.minimap,
        )
        reward = state.earlier_reward if self.observe_before_removal else state.reward
        identity = self._identity(state.left_team)
        rows = (identity, state.last_action, reward, state.position, listed)
        rows = [self._split(row) for row in rows]
        position, visible = rows[-2:]
        minimaps = self._minimaps(state.position, listed)
        return {
            name: {
                "view": obs.views(
                    images, team, position[name], visible[name], minimaps[team], self.map_size
                ),
                "features": obs.features(
                    *(row[name] for row in rows), self.id_bits, self.minimap, self.map_size
                ),
            }
            for team, name in enumerate(TEAMS)
        }

    def _minimaps(self, position: jax.Array, listed: jax.Array) -> list[jax.Array | None]:
        if not self.minimap:
            return [None, None]
        num_bins = obs.VIEW**2
        bins = obs.bin_of(position, self.map_size)
        team_bins = bins + num_bins * self._team
        members = jnp.stack([jnp.sum(part) for part in self._split(listed).values()])
        count = obs.bin_sums(team_bins, listed.astype(jnp.float32), 2 * num_bins)
        share = count[team_bins] / jnp.maximum(members, 1)[self._team]
        red = np.arange(self.num_agents) < self.num_red
        return [obs.minimap_image(bins, own, share) for own in (red, ~red)]

    def _identity(self, left_team: jax.Array) -> jax.Array:
        # Ids count up from 0 over the team on the left, then over the other.
        index = np.arange(self.num_agents)
        red_first, blue_first = index, (index + self.num_blue) % self.num_agents
        return jnp.where(left_team == 0, red_first, blue_first)

    def _overview(self, state: BattleState) -> jax.Array:
        bins, weight = 4 * obs.bin_of(state.position, self.map_size) + self._team, state.alive * 1.0
        layers = jnp.concatenate([bins, bins + 2])
        weights = jnp.concatenate([weight, state.hp / self.max_hp])
        share = weights / jnp.array([self.num_red, self.num_blue])[jnp.tile(self._team, 2)]
        return obs.bin_sums(layers, share, 4 * obs.VIEW**2)
