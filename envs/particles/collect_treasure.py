"""Treasure collection: collectors pick up treasure and carry it to the deposit of its kind."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.particles.geometry import (
    distances,
    everyone,
    features,
    length,
    one_hot,
    relative,
    without_self,
)
from jaxmarl_core.envs.particles.physics import bodies
from jaxmarl_core.envs.particles.render import COLOURS, GREY, INK, Picture, picture
from jaxmarl_core.envs.particles.world import (
    ParticleState,
    ParticleWorld,
    Role,
    choice,
    require_count,
    settings,
)
from jaxmarl_core.types import Key

EMPTY = -1  # what a collector holds that holds nothing
FIELD = 0.95  # treasure appears in [-0.95, 0.95]^2


@struct.dataclass
class Treasure:
    """The memory of the world: who holds what, and what lies where."""

    holding: jax.Array  # [C] int32, the kind of treasure each collector holds, -1 for none
    kind: jax.Array  # [M] int32, of each treasure, 0 ... D - 1
    alive: jax.Array  # [M] bool, false from being picked up to the next step
    num_events: jax.Array  # [] int32, pickups and deliveries of the last step


@struct.dataclass
class CollectTreasure(ParticleWorld):
    """C collectors, D deposits and M treasures of D kinds. The rest is told at `ParticleWorld`.

    Iqbal and Sha, 2019, arXiv:1810.02912, section 4.1, with the rewards of mpe2. After everyone
    has moved, for one treasure after another: the first collector with free hands that touches it
    takes it; one taken in the step before appears anew, its place and kind drawn. Then whoever
    touches the deposit of what it holds delivers. Nobody pushes anybody.

    - groups: "collectors" (C, team 0), "deposits" (D, team 0; deposit j takes kind j).
    - observation: position, velocity; for collectors what they hold, one-hot of D; of all others
      from the nearest to the farthest, relative position, velocity, their kind if a deposit and
      what they hold, one-hot of D each; of all treasures from the nearest to the farthest, relative
      position and kind, one-hot; zeros in the last places for those taken.
    - reward: all, `event_reward` for every pickup and delivery; collectors, -5 for every other
      collector touched, and -0.1 of the distance to the deposit of what they hold, or else to the
      nearest treasure; deposits, -0.1 of the distance to the nearest collector with their kind, or
      else to the middle of all collectors.
    """

    event_reward: float
    num_collectors: int = struct.field(pytree_node=False)
    num_deposits: int = struct.field(pytree_node=False)

    landmark_spread = FIELD

    @property
    def num_extra_draws(self) -> int:
        return self.num_landmarks

    @property
    def num_agents(self) -> int:
        return self.num_collectors + self.num_deposits

    @property
    def roles(self) -> tuple[Role, ...]:
        num_kinds, num_others = self.num_deposits, self.num_agents - 1
        size = 4 + num_others * (4 + 2 * num_kinds) + self.num_landmarks * (2 + num_kinds)
        return (
            Role("collectors", self.num_collectors, size + num_kinds),
            Role("deposits", self.num_deposits, size),
        )

    def begin(self, landmark: jax.Array, draws: jax.Array) -> tuple[jax.Array, Treasure]:
        treasure = Treasure(
            holding=jnp.full(self.num_collectors, EMPTY, jnp.int32),
            kind=choice(draws, self.num_deposits),
            alive=jnp.ones(self.num_landmarks, bool),
            num_events=jnp.int32(0),
        )
        return landmark, treasure

    def events(self, key: Key, state: ParticleState) -> ParticleState:
        treasure, num = state.memory, self.num_landmarks
        holding, taken = self._pick_up(state)
        reborn = ~treasure.alive
        draws = jax.random.uniform(key, (3 * num,), float)
        place = FIELD * (2 * draws[: 2 * num].reshape(num, 2) - 1)
        landmark = jnp.where(reborn[:, None], place, state.landmark)
        kind = jnp.where(reborn, choice(draws[2 * num :], self.num_deposits), treasure.kind)

        at_deposit = self._touching(state.position[self.num_collectors :], self._deposit_radius)
        delivers = jnp.any(at_deposit(state) & self._matches(holding), axis=1)
        treasure = Treasure(
            holding=jnp.where(delivers, EMPTY, holding),
            kind=kind,
            alive=~taken,
            num_events=(taken.sum() + delivers.sum()).astype(jnp.int32),
        )
        return dataclasses.replace(state, landmark=landmark, memory=treasure)

    def rewards(self, state: ParticleState) -> jax.Array:
        treasure, num = state.memory, self.num_collectors
        collector, deposit = state.position[:num], state.position[num:]
        overlap = self._touching(collector, self.bodies.radius[:num])(state).sum(axis=1) - 1
        away = jnp.where(treasure.alive, distances(collector, state.landmark), jnp.inf).min(axis=1)
        away = jnp.where(treasure.alive.any(), away, 0.0)
        carries = self._matches(treasure.holding)  # [C, D]
        to_deposit = distances(collector, deposit)
        home = jnp.sum(jnp.where(carries, to_deposit, 0.0), axis=1)
        way = jnp.where(treasure.holding == EMPTY, away, home)

        carrier = jnp.where(carries, to_deposit, jnp.inf).min(axis=0)
        middle = length(collector.mean(axis=0) - deposit)
        wait = jnp.where(carries.any(axis=0), carrier, middle)
        own = jnp.concatenate([-5.0 * overlap - 0.1 * way, -0.1 * wait])
        return own + self.event_reward * treasure.num_events

    def observations(self, state: ParticleState) -> tuple[jax.Array, ...]:
        treasure, num, kinds = state.memory, self.num_agents, self.num_deposits
        first = self.num_collectors
        held = one_hot(treasure.holding, kinds)
        is_deposit = jnp.concatenate([jnp.zeros((first, kinds)), jnp.eye(kinds)])
        holds = jnp.concatenate([held, jnp.zeros((kinds, kinds))])
        known = everyone(features(state.velocity, is_deposit, holds), num)
        to_other = without_self(relative(state.position, state.position))
        others = jnp.concatenate([to_other, without_self(known)], axis=-1)

        to_treasure = relative(state.position, state.landmark)
        kind = everyone(one_hot(treasure.kind, kinds), num)
        there = treasure.alive[:, None]
        treasures = jnp.where(there, jnp.concatenate([to_treasure, kind], axis=-1), 0.0)
        distance = jnp.where(treasure.alive, length(to_treasure), jnp.inf)
        rest = features(by_distance(length(to_other), others), by_distance(distance, treasures))
        me = features(state.position, state.velocity)
        return features(me[:first], held, rest[:first]), features(me[first:], rest[first:])

    def picture(self, state: ParticleState) -> Picture:
        treasure, palette = state.memory, jnp.array(COLOURS, float)
        deposits = palette[np.arange(self.num_deposits) % len(COLOURS)]
        colour = np.tile(np.array(GREY), (self.num_collectors, 1))
        held = treasure.holding % len(COLOURS)
        return picture(
            self.roles,
            self.bodies,
            agent=jnp.concatenate([colour, deposits]),
            landmark=palette[treasure.kind % len(COLOURS)],
            shown=1.0 * treasure.alive,
            load=jnp.concatenate([palette[held], jnp.tile(jnp.array(INK), (len(deposits), 1))]),
            loaded=jnp.append(treasure.holding != EMPTY, jnp.ones(len(deposits))),
        )

    @property
    def _deposit_radius(self) -> jax.Array:
        return self.bodies.radius[self.num_collectors : self.num_agents]

    def _matches(self, holding: jax.Array) -> jax.Array:
        return holding[:, None] == jnp.arange(self.num_deposits)

    def _touching(self, place: jax.Array, radius: jax.Array):
        # Whether collectors touch things of that radius there, [C, .], as a function of the state.
        num = self.num_collectors
        reach = self.bodies.radius[:num, None] + radius
        return lambda state: distances(state.position[:num], place) < reach

    def _pick_up(self, state: ParticleState) -> tuple[jax.Array, jax.Array]:
        # What collectors hold [C], and which treasures were taken [M]. One after another: a
        # collector that took one has no hand free for the next.
        treasure, holding = state.memory, state.memory.holding
        radius = self.bodies.radius[self.num_agents :]
        near = self._touching(state.landmark, radius)(state) & treasure.alive
        taken = []
        for m in range(self.num_landmarks):
            able = near[:, m] & (holding == EMPTY)
            takes = able & (jnp.cumsum(able) == 1)  # the first of them
            holding = jnp.where(takes, treasure.kind[m], holding)
            taken.append(able.any())
        return holding, jnp.stack(taken)


def by_distance(distance: jax.Array, facts: jax.Array) -> jax.Array:
    """Returns facts [n, M, F] with each row's M sorted from the nearest, by `distance` [n, M].

    Ties keep their order. Places are counted and filled by comparison: for a handful of things far
    cheaper under `vmap` than a sort and a gather.
    """
    index = np.arange(distance.shape[-1])
    mine, other = distance[:, :, None], distance[:, None, :]
    before = (other < mine) | ((other == mine) & (index < index[:, None]))
    place = before.sum(axis=-1)  # [n, M]
    chosen = place[:, None, :] == index[:, None]  # [n, place, M]
    return jnp.sum(jnp.where(chosen[..., None], facts[:, None], 0.0), axis=2)


def collect_treasure(
    *,
    num_collectors: int = 6,
    num_deposits: int = 2,
    num_treasures: int = 6,
    event_reward: float = 5.0,
    max_steps: int = 25,
    actions: str = "discrete",
    integration: str = "mpe2",
) -> CollectTreasure:
    """Returns the world of treasure, collectors and deposits.

    Args:
      num_collectors: at least 1.
      num_deposits: at least 1, and as many kinds of treasure.
      num_treasures: at least 1.
      event_reward: to all, for every pickup and every delivery.
      max_steps: the time limit.
      actions: "discrete" or "continuous".
      integration: "mpe2" or "legacy", see `world`.

    Raises:
      ValueError: naming the argument.
    """
    require_count("num_collectors", num_collectors)
    require_count("num_deposits", num_deposits)
    require_count("num_treasures", num_treasures)
    return CollectTreasure(
        bodies=bodies(
            (num_collectors, num_deposits),
            (0.05, 0.075),
            (num_treasures,),
            (0.025,),
            acceleration=1.5,
            max_speed=1.0,
            mass=(1.0, 2.25),
        ),
        event_reward=event_reward,
        num_collectors=num_collectors,
        num_deposits=num_deposits,
        **settings(max_steps, actions, integration),
    )
