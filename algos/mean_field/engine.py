"""The engine of mean-field value learning: collect, store, learn.

Each agent of a large population acts on its own observation and, if the recipe says so, on the mean
action of its neighbours. One network serves all groups; with lagged self-play the first learns and
the others follow. One update plays `rollout_length` steps of `num_envs` environments, writes them
into the replay buffer and takes `num_gradient_steps` steps down the temporal-difference loss.

The choices by which published programs differ are fields of `Config`; their defaults follow the
paper (Yang et al., 2018, arXiv:1802.05438), the alternatives its program.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.policy import centres, unit
from jaxmarl_core.algos.mean_field.td_loss import StoredStep, Transition, td_loss
from jaxmarl_core.errors import require
from jaxmarl_core.functional.exploration import boltzmann, exponential, greedy
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.networks import MLP, Torso, apply, head
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import AutoReset, episode_metrics, episodic
from jaxmarl_core.recipes import require_own
from jaxmarl_core.spaces import Space, discrete, num_values, zeros
from jaxmarl_core.types import (
    Actions,
    Algorithm,
    Environment,
    Group,
    Key,
    Metrics,
    Policy,
    TimeStep,
)


@struct.dataclass
class Params:
    """What the policy needs to act."""

    online: Any
    opponent: Any  # () unless self_play is "lagged"
    temperature: jax.Array


@struct.dataclass
class State:
    params: Params
    target: Any
    optimiser: Any
    buffer: StoredStep  # leaves [buffer_length, B, n, ...], n over all groups that learn
    play: Play  # leaves [B, ...]


class QNetwork(nn.Module):
    """Q-values [..., A] from an observation and, if used, the mean action [..., A]."""

    space: Space
    num_actions: int
    config: Config

    @nn.compact
    def __call__(self, observation, mean_action):
        config = self.config
        image = {"channels": config.channels, "kernel": config.kernel, "stride": config.stride}
        torso = Torso(self.space, config.hidden, activation=nn.relu, **image)
        _, features = torso((), observation)
        if config.centre:
            near = centres(self.space, observation, config.centre)
            features = jnp.concatenate([features, near], axis=-1)
        if config.mean_action_hidden is not None:
            neighbours = MLP(config.mean_action_hidden, nn.relu)(mean_action)
            features = jnp.concatenate([features, neighbours], axis=-1)
        features = MLP(config.head_hidden, nn.relu)(features)
        return head(self.num_actions, gain=1.0)(features)


class Learner(NamedTuple):
    """What the phases of an update are made of."""

    config: Config
    env: AutoReset  # resets itself, and keeps count of its episodes
    groups: dict[str, Group]
    learning_groups: tuple[str, ...]  # all of them, or the first in lagged self-play
    network: QNetwork

    @property
    def num_learning(self) -> int:
        """Returns how many agents learn."""
        return sum(self.groups[name].size for name in self.learning_groups)


def optimiser(hp: Hparams) -> optax.GradientTransformation:
    """Returns Adam at the learning rate."""
    return optax.adam(hp.learning_rate)


# ---- acting

Choose = Callable[[Key, jax.Array, jax.Array, Any], jax.Array]  # (key, q, temperature, mask)


def exploit(key: Key, q: jax.Array, temperature: jax.Array, mask: Any) -> jax.Array:
    """Returns the best legal actions, [n]; `boltzmann` is the other way to choose."""
    return greedy(q, mask)


def mean_action_of(learner: Learner, timestep: TimeStep, group_name: str) -> jax.Array:
    """Returns the mean action of each agent's neighbours, [n, A]; 0 if the world has none."""
    none = jnp.zeros((learner.groups[group_name].size, learner.network.num_actions))
    return timestep.mean_action.get(group_name, none)


def act(
    learner: Learner, choose: Choose, params: Params, key: Key, timestep: TimeStep, memory: tuple
) -> tuple[Actions, tuple]:
    """Returns what all agents of one environment do, and their memory, which is empty."""
    actions = {}
    for i, name in enumerate(learner.groups):
        weights = params.online if name in learner.learning_groups else params.opponent
        mean_action = mean_action_of(learner, timestep, name)
        q = apply(learner.network, weights, timestep.observation[name], mean_action)
        mask = timestep.action_mask.get(name)
        temperature = params.temperature * unit(learner.config, q, mask)
        actions[name] = choose(jax.random.fold_in(key, i), q, temperature, mask)
    return actions, memory


def behaviour(config: Config) -> Choose:
    """Returns how actions are chosen while learning."""
    return boltzmann if config.exploration == "boltzmann" else exploit


# ---- collecting and storing


def stored_step(
    learner: Learner, group_name: str, timestep: TimeStep, actions: Actions
) -> StoredStep:
    """Returns what is stored of one group in one environment, leaves [n, ...]."""
    alive = timestep.alive[group_name]
    return StoredStep(
        observation=timestep.observation[group_name],
        mean_action=mean_action_of(learner, timestep, group_name),
        action_mask=timestep.action_mask.get(group_name),
        action=actions[group_name],
        reward=timestep.reward[group_name],
        discount=timestep.discount[group_name],
        alive=alive,
        last=jnp.broadcast_to(timestep.last, alive.shape),
    )


def store(
    learner: Learner, buffer: StoredStep, position: jax.Array, timestep: TimeStep, actions: Actions
) -> StoredStep:
    """Returns the buffer with one time step of all environments written at `position`.

    The groups that learn lie side by side on the agents' axis; each is written where it lies,
    as putting them together first would copy all they observe.
    """
    first_agent = 0
    for name in learner.learning_groups:
        step = jax.vmap(partial(stored_step, learner, name))(timestep, actions)
        buffer = replay.write_entry(buffer, step, position, first_agent)
        first_agent += learner.groups[name].size
    return buffer


def collect(
    learner: Learner,
    key: Key,
    params: Params,
    play: Play,
    buffer: StoredStep,
    update_index: jax.Array,
) -> tuple[tuple[Play, StoredStep], TimeStep]:
    """Plays on and writes each step into the buffer.

    Returns:
      ((where play stands, the buffer), the time steps [T, B, ...] without what metrics do not read)
    """
    config = learner.config
    choose = behaviour(config)
    start = replay.block_start(buffer, update_index, config.rollout_length)

    def one(key, env_state):
        timestep = learner.env.observe(env_state)
        key_act, key_env = jax.random.split(key)
        actions, _ = act(learner, choose, params, key_act, timestep, ())
        return learner.env.advance(key_env, env_state, actions), timestep, actions

    def step(carry, inputs):
        env_state, buffer = carry
        t, key = inputs
        # the observations go from here straight into the buffer: stacked in between they would
        # take fresh memory every update, which costs more than computing them
        keys = jax.random.split(key, config.num_envs)
        following, timestep, actions = jax.vmap(one)(keys, env_state)
        buffer = store(learner, buffer, start + t, timestep, actions)
        kept = dataclasses.replace(timestep, observation={}, mean_action={}, state=())
        return (following, buffer), kept

    inputs = jnp.arange(config.rollout_length), jax.random.split(key, config.rollout_length)
    (env_state, buffer), timestep = jax.lax.scan(step, (play.env_state, buffer), inputs)
    following = Play(env_state, jax.vmap(learner.env.observe)(env_state), ())
    return (following, buffer), timestep


# ---- learning


def sample(learner: Learner, key: Key, buffer: StoredStep, update_index: jax.Array) -> Transition:
    """Returns a batch of single agents' transitions that were played, leaves [batch_size, ...]."""
    key_step, key_agent = jax.random.split(key)
    size = learner.config.batch_size
    last = buffer.last[:, :, 0]  # the same for all agents
    position, env_index = replay.sample_transitions(
        key_step, last, learner.config.rollout_length, update_index, size
    )
    agent = jax.random.randint(key_agent, (size,), 0, learner.num_learning)
    step = replay.gather(buffer, position, env_index, agent)
    return step, replay.gather(buffer, position + 1, env_index, agent)


def gradient_step(
    learner: Learner,
    weights: tuple[Any, Any, Any],
    transition: Transition,
    temperature: jax.Array,
    hp: Hparams,
) -> tuple[tuple[Any, Any, Any], tuple[jax.Array, jax.Array]]:
    """Returns ((online, target, the optimiser's state), (loss, mean Q)) after one step."""
    online, target, opt_state = weights
    loss = partial(td_loss, partial(apply, learner.network), config=learner.config)
    gradient = jax.value_and_grad(loss, has_aux=True)
    (loss, q), grads = gradient(online, target, transition, temperature, hp.gamma)
    updates, opt_state = optimiser(hp).update(grads, opt_state)
    online = optax.apply_updates(online, updates)
    target = optax.incremental_update(online, target, hp.tau)
    return (online, target, opt_state), (loss, q)


def learn(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after all gradient steps of an update, and their mean loss and Q.

    Until `hp.learning_starts` steps have been played the learner stays as it was, and its metrics
    are 0; `gradient_steps` counts those that were taken.
    """

    def step(weights, key):
        transition = sample(learner, key, state.buffer, update_index)
        return gradient_step(learner, weights, transition, state.params.temperature, hp)

    config = learner.config
    keys = jax.random.split(key, config.num_gradient_steps)
    start = state.params.online, state.target, state.optimiser
    learned, (loss, q) = packed_scan(step, start, keys)
    # chosen between, not branched on: the number is one of the run's, and differs within a sweep
    started = replay.learning_has_started(update_index, env_steps(config), hp.learning_starts)
    online, target, opt_state = select(started, learned, start)
    state = dataclasses.replace(
        state,
        params=dataclasses.replace(state.params, online=online),
        target=target,
        optimiser=opt_state,
    )
    steps = jnp.float32(config.num_gradient_steps)
    metrics = {"loss": loss.mean(), "q": q.mean(), "gradient_steps": steps}
    return state, jax.tree.map(lambda x: jnp.where(started, x, 0.0), metrics)


def follow(opponent: Any, online: Any, returns: jax.Array, last: jax.Array) -> Any:
    """Returns the lagged opponent's weights after a trajectory: it follows a learner that won.

    Args:
      opponent, online: weights.
      returns: [..., teams] f32 of the episodes so far; the learner is team 0.
      last: [...] bool, where an episode ended.
    """
    won = (last & (returns[..., 0] > returns[..., 1:].max(-1))).any()
    return select(won, optax.incremental_update(online, opponent, 0.99), opponent)


# ---- the learner


def env_steps(config: Config) -> int:
    """Returns the steps of an update over all environments, those after an end included."""
    return config.rollout_length * config.num_envs


def init(learner: Learner, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update."""
    config, network = learner.config, learner.network
    key_network, key_play = jax.random.split(key)
    online = network.init(key_network, zeros(network.space), jnp.zeros(network.num_actions))
    start = jax.vmap(lambda key: begin(key, learner.env, ()))
    play = start(jax.random.split(key_play, config.num_envs))
    opponent = online if config.self_play == "lagged" else ()
    params = Params(online, opponent, jnp.asarray(hp.temperature, jnp.float32))
    actions = {
        name: jnp.zeros((config.num_envs, group.size), int)
        for name, group in learner.groups.items()
    }
    of_first = partial(stored_step, learner, learner.learning_groups[0])
    step = jax.eval_shape(jax.vmap(of_first), play.timestep, actions)
    entry = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((x.shape[0], learner.num_learning, *x.shape[2:]), x.dtype),
        step,
    )
    buffer = replay.empty_buffer(entry, config.buffer_length, config.rollout_length)
    return State(params, online, optimiser(hp).init(online), buffer, play)


def update(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after an update, and its metrics: collect, store, learn."""
    key_play, key_learn = jax.random.split(key)
    fraction = update_index / hp.anneal_updates
    temperature = exponential(hp.temperature, hp.final_temperature, fraction)
    params = dataclasses.replace(state.params, temperature=jnp.asarray(temperature, jnp.float32))
    (play, buffer), timesteps = collect(
        learner, key_play, params, state.play, state.buffer, update_index
    )
    state = dataclasses.replace(state, params=params, buffer=buffer, play=play)
    state, metrics = learn(learner, key_learn, state, hp, update_index)
    if learner.config.self_play == "lagged":
        returns = timesteps.extras["episode"].returns
        opponent = follow(params.opponent, state.params.online, returns, timesteps.last)
        state = dataclasses.replace(
            state, params=dataclasses.replace(state.params, opponent=opponent)
        )
    metrics |= {"temperature": params.temperature}
    return state, metrics | episode_metrics(learner.env, timesteps)


def make_learner(name: str, env: Environment, config: Config) -> Learner:
    """Returns what the phases of an update are made of; raises as `mean_field_q` does."""
    require_own(name, config, Config)
    groups = dict(env.groups)
    first = next(iter(groups.values()))
    for group_name, group in groups.items():
        discrete(group.action, name, group_name)
        same = (group.observation, group.action) == (first.observation, first.action)
        require(same, name, "groups of equal spaces, as they share one network", groups)
    if config.mean_action is not None and not hasattr(env, "mean_action"):
        raise ValueError(
            f"{name}: needs a mean-field environment, one that answers mean_action; "
            f"got {type(env).__name__}"
        )
    if config.self_play == "lagged":
        fits = first.team == 0 and len({group.team for group in groups.values()}) > 1
        expected = '"shared", or an environment of several teams, the first group of team 0'
        require(fits, "self_play", expected, f'"lagged" in {type(env).__name__}')
    learning_groups = tuple(groups) if config.self_play == "shared" else tuple(groups)[:1]
    network = QNetwork(first.observation, num_values(first.action), config)
    return Learner(config, episodic(env), groups, learning_groups, network)


def mean_field_q(name: str, env: Environment, config: Config) -> Algorithm:
    """Returns the algorithm; the recipes `mfq` and `il` are this with and without the mean action.

    Args:
      name: of the algorithm, for messages.
      env: discrete actions; it answers `mean_action` where the config has one.
      config: what shapes the program.

    Raises:
      ValueError: actions are not discrete, the groups that share a network have different spaces,
        the environment has no mean action although it is used, or there is nobody to lag behind.
    """
    learner = make_learner(name, env, config)
    policy = Policy(
        memory=lambda: (),
        act=partial(act, learner, behaviour(config)),
        greedy=partial(act, learner, exploit),
    )
    return Algorithm(
        partial(init, learner),
        partial(update, learner),
        policy,
        Hparams(),
        env_steps=env_steps(config),
    )
