"""The engine of off-policy actor-critics: play, store, draw, critics, actors, targets.

One update plays `rollout_length` steps of `num_envs` environments with exploring policies, writes
them into the replay, and takes `num_gradient_steps` steps on transitions that it holds. In each the
critics learn what all agents' actions are worth, the actors climb the critics, and target networks
follow. What varies between algorithms is handed in:

    kind      how an actor's output is an action         policies.py
    critics   who values what                            critics.py
    order     whether actors climb at once or in turn    order.py

All that is random in learning is drawn before the first gradient step, so that the phases below are
arithmetic of what they are given.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.off_policy.action_vectors import standard_noise
from jaxmarl_core.algos.off_policy.batches import Batch, Vectors, positions, transitions
from jaxmarl_core.algos.off_policy.beliefs import Latest, divergences, fitted, values_by_beliefs
from jaxmarl_core.algos.off_policy.critics import BuildCritics
from jaxmarl_core.algos.off_policy.learner import (
    Learner,
    Optimisers,
    Params,
    State,
    env_steps,
    exploration_at,
    init_optimisers,
    init_params,
    make_learner,
)
from jaxmarl_core.algos.off_policy.networks import descend, optimiser, over_axes
from jaxmarl_core.algos.off_policy.options import Config, Hparams
from jaxmarl_core.algos.off_policy.order import ActorState, Order, Rates, draws, rates_at
from jaxmarl_core.algos.off_policy.playing import (
    first_memory,
    latest_transitions,
    play_on,
    policy,
    statistics_after,
    stored,
)
from jaxmarl_core.algos.off_policy.policies import PolicyKind
from jaxmarl_core.functional.losses import masked_mean, squared
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.q_policies import twin_target
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.gradients import gradient_norm
from jaxmarl_core.learners.observation_normalisation import initial_statistics
from jaxmarl_core.learners.turns import drawn_order
from jaxmarl_core.play.rollout import begin
from jaxmarl_core.play.wrappers import episode_metrics
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Algorithm, Environment, Key, Metrics

# ---- learning


class Noise(NamedTuple):
    """What actions are drawn with: of now, which actors climb along, and of the step after."""

    now: Vectors
    after: Vectors


def drawn_noise(learner: Learner, key: Key) -> Noise:
    """Returns the noise of all gradient steps of an update, leaves [G, b, n, E]."""
    config = learner.config
    batch = config.num_gradient_steps, config.batch_size

    def of_all(key):
        keys = jax.random.split(key, len(learner.actors.stacks))
        return {
            stack.name: standard_noise(stack_key, stack.action, (*batch, stack.size))
            for stack, stack_key in zip(learner.actors.stacks, keys)
        }

    return Noise(*map(of_all, jax.random.split(key)))


def entropy_weights(params: Params) -> jax.Array:
    """Returns what agents' entropies weigh, [N] f32, or 0 where none is earned."""
    return jnp.zeros(()) if isinstance(params.log_weight, tuple) else jnp.exp(params.log_weight)


def targets(
    learner: Learner, params: Params, target: Any, batch: Batch, noise: Vectors, hp: Hparams
) -> jax.Array:
    """Returns what the critics are taught, [b, K], without gradient; see `twin_target`.

    Args:
      learner: what was built.
      params: online.
      target: (actors, critics, beliefs) that follow.
      batch: the transitions.
      noise: stack -> [b, n, E], of next actions.
      hp: the hparams.
    """
    actors, critics = learner.actors, learner.critics
    target_actors, target_critics, target_beliefs = target
    acting = target_actors if actors.kind.has_targets else params.actors
    vectors, log_prob = draws(actors, actors.kind.next_draw, acting, batch.next_observed, noise, hp)
    if learner.beliefs is None:
        values = critics.values(target_critics, batch.next_observed, vectors)
    else:
        by_beliefs = partial(values_by_beliefs, learner.beliefs, target_beliefs)
        values = by_beliefs(critics, target_critics, batch.next_observed, vectors, noise)
    values = critics.next_values(values, batch.next_observed)
    pay = critics.pay(batch)
    bonus = critics.summed(-entropy_weights(params) * log_prob)
    return twin_target(pay.reward, pay.discount, values, bonus)


def critic_loss(
    params: Any, learner: Learner, batch: Batch, wanted: jax.Array
) -> tuple[jax.Array, Metrics]:
    """Returns (the critics' loss [], metrics): each one's mean square, summed over all of them.

    Args:
      params: the critics'.
      learner: what was built.
      batch: the transitions.
      wanted: [b, K] f32, from `targets`.
    """
    q = learner.critics.values(params, batch.observed, batch.vectors)  # [M, b, K]
    counts = jnp.broadcast_to(learner.critics.pay(batch).counts, q.shape)
    each = jax.vmap(jax.vmap(masked_mean, 1), 0)(squared(q - wanted), counts)  # [M, K]
    return each.sum(), {"critic_loss": each.mean(), "q": masked_mean(q, counts)}


def critics_step(
    learner: Learner,
    params: Params,
    target: Any,
    opt_state: Any,
    batch: Batch,
    noise: Vectors,
    hp: Hparams,
    rates: Rates,
) -> tuple[Any, Any, Metrics]:
    """Returns (the critics' parameters, their optimisers' state, metrics) after one step."""
    wanted = targets(learner, params, target, batch, noise, hp)
    gradient = jax.grad(critic_loss, has_aux=True)
    grads, metrics = gradient(params.critics, learner, batch, wanted)
    rule = optimiser(rates.critic, hp.max_grad_norm)
    moved, states, norms = {}, {}, []
    for name, axes in learner.critics.axes.items():
        moved[name], states[name] = descend(
            rule, axes, grads[name], opt_state[name], params.critics[name]
        )
        norms.append(over_axes(gradient_norm, axes)(grads[name]).mean())
    return moved, states, metrics | {"critic_grad_norm": jnp.stack(norms).mean()}


def actors_step(
    learner: Learner,
    params: Params,
    opt_state: Optimisers,
    batch: Batch,
    noise: Vectors,
    hp: Hparams,
    rates: Rates,
    order: jax.Array,
) -> tuple[Params, Optimisers, Metrics]:
    """Returns (parameters, optimisers' state, metrics) after a step of all actors."""
    before = ActorState(params.actors, opt_state.actors, params.log_weight, opt_state.log_weight)
    after, metrics = learner.order(
        learner.actors, learner.critics, params.critics, before, batch, noise, hp, rates, order
    )
    params = dataclasses.replace(params, actors=after.params, log_weight=after.log_weight)
    opt_state = dataclasses.replace(
        opt_state, actors=after.optimiser, log_weight=after.weight_optimiser
    )
    return params, opt_state, metrics


def followed(learner: Learner, target: Any, params: Params, tau: float | jax.Array) -> Any:
    """Returns the target networks a part `tau` nearer to the online ones."""
    actors = params.actors if learner.actors.kind.has_targets else {}
    return optax.incremental_update((actors, params.critics, params.beliefs), target, tau)


Learnt = tuple[Params, Any, Optimisers]  # parameters, target networks, optimisers' state


def gradient_step(
    learner: Learner,
    learnt: Learnt,
    batch: Batch,
    noise: Noise,
    hp: Hparams,
    rates: Rates,
    order: jax.Array,
    due: jax.Array,
    latest: Latest | None = None,
) -> tuple[Learnt, Metrics]:
    """Returns what is learnt after one step of the critics and, where due, of actors and targets.

    Args:
      learner: what was built.
      learnt: before.
      batch: the transitions.
      noise: stack -> [b, n, E], of now and after.
      hp: the hparams.
      rates: of this update.
      order: [N] int32, in which actors learn.
      due: [] bool, whether actors and targets move in this step.
      latest: what beliefs are fitted to, before the critics learn; None where there are none.
    """
    params, target, opt_state = learnt
    fitting: Metrics = {}
    if learner.beliefs is not None and latest is not None:
        beliefs, belief_states, fitting = fitted(
            learner.beliefs, params.beliefs, opt_state.beliefs, latest, hp, rates.belief
        )
        params = dataclasses.replace(params, beliefs=beliefs)
        opt_state = dataclasses.replace(opt_state, beliefs=belief_states)
    critics, critic_states, metrics = critics_step(
        learner, params, target, opt_state.critics, batch, noise.after, hp, rates
    )
    params = dataclasses.replace(params, critics=critics)
    opt_state = dataclasses.replace(opt_state, critics=critic_states)

    def climb(params, target, opt_state):
        params, opt_state, metrics = actors_step(
            learner, params, opt_state, batch, noise.now, hp, rates, order
        )
        target = followed(learner, target, params, hp.tau)
        return (params, target, opt_state), metrics

    if learner.config.actor_period == 1:
        learnt, climbing = climb(params, target, opt_state)
    else:
        shapes = jax.eval_shape(climb, params, target, opt_state)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        rest = lambda *learnt: (learnt, nothing)
        learnt, climbing = jax.lax.cond(due, climb, rest, params, target, opt_state)
    return learnt, metrics | climbing | fitting


def learn(
    learner: Learner,
    key: Key,
    state: State,
    hp: Hparams,
    update_index: jax.Array,
    latest: Latest | None,
) -> tuple[Learnt, Metrics]:
    """Returns what is learnt after all gradient steps of an update, and their mean metrics.

    Args:
      learner: what was built.
      key: randomness.
      state: with what was just played in its buffer.
      hp: traced numbers.
      update_index: [] int32.
      latest: what was just played, for beliefs; None without them.
    """
    config, stacks = learner.config, learner.actors.stacks
    num_steps, size, period = (
        config.num_gradient_steps,
        config.batch_size,
        decided(config.actor_period),
    )
    key_positions, key_noise = jax.random.split(key)
    where = positions(
        key_positions,
        state.buffer,
        config.rollout_length,
        update_index,
        num_steps * size,
        config.n_step,
    )
    where = jax.tree.map(lambda x: x.reshape(num_steps, size), where)
    steps = jnp.arange(num_steps)
    # a remainder before the product, which would pass 2^31 after so many steps
    due = (update_index % period * num_steps + steps + 1) % period == 0
    order = jax.vmap(lambda step: drawn_order(update_index, learner.num_agents, step))(steps)
    rates = rates_at(hp, update_index)

    def step(learnt, inputs):
        (start, env_index), noise, order, due = inputs
        batch = transitions(
            stacks,
            state.buffer,
            start,
            env_index,
            config.n_step,
            hp.gamma,
            state.params.observation,
            state.reward,
        )
        return gradient_step(learner, learnt, batch, noise, hp, rates, order, due, latest)

    inputs = where, drawn_noise(learner, key_noise), order, due
    learnt = state.params, state.target, state.optimiser
    learnt, metrics = packed_scan(step, learnt, inputs)
    times = {"policy_loss": due, "actor_grad_norm": due}
    mean = lambda x, counts: x.sum() / jnp.maximum(counts.sum(), 1)
    every = jnp.ones(num_steps)
    metrics = {name: mean(x, times.get(name, every)) for name, x in metrics.items()}
    if learner.beliefs is not None and latest is not None:
        params, (actors, _, beliefs), _ = learnt
        scale = params.exploration["scale"]
        metrics["kl_beliefs"] = divergences(learner.beliefs, beliefs, actors, latest, scale)
    return learnt, metrics


# ---- the learner


def has_started(config: Config, hp: Hparams, update_index: jax.Array) -> jax.Array:
    """Returns [] bool, whether an update learns: by then, enough has been played."""
    updates_to_store_one = -(-(config.n_step + 1) // config.rollout_length)
    starts = replay.learning_has_started(update_index, env_steps(config), hp.learning_starts)
    return starts & (update_index + 1 >= updates_to_store_one)


def init(learner: Learner, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update."""
    config, env = learner.config, learner.env
    key_params, key_play = jax.random.split(key)
    params = init_params(learner, key_params, hp)
    start = jax.vmap(lambda key: begin(key, env, first_memory(learner)))
    play = start(jax.random.split(key_play, config.num_envs))
    _, steps = jax.eval_shape(partial(play_on, learner), key, params, play, jnp.bool_(True))
    entry = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
        jax.eval_shape(partial(stored, learner), steps),
    )
    buffer = replay.empty_buffer(entry, config.buffer_length, config.rollout_length)
    acting = params.actors if learner.actors.kind.has_targets else {}
    target = (acting, params.critics, params.beliefs)
    reward = initial_statistics(Box((learner.num_agents,))) if config.normalise_reward else None
    return State(params, target, init_optimisers(learner, params), buffer, reward, play)


def update(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after an update, and its metrics: play, store, learn.

    Until learning has started (`has_started`) the learner stays as it was, and its metrics are 0;
    `gradient_steps` counts those that were taken.
    """
    config = learner.config
    key_play, key_learn = jax.random.split(key)
    started = has_started(config, hp, update_index)
    exploration = exploration_at(hp, update_index, env_steps(config))
    params = dataclasses.replace(state.params, exploration=exploration)
    play, steps = play_on(learner, key_play, params, state.play, ~started)
    new = stored(learner, steps)
    buffer = replay.write_block(state.buffer, new, update_index)
    statistics, paid = statistics_after(learner, state, steps, play.timestep)
    params = dataclasses.replace(params, observation=statistics)
    state = State(params, state.target, state.optimiser, buffer, paid, play)
    latest = latest_transitions(learner, params, new)
    learnt, metrics = learn(learner, key_learn, state, hp, update_index, latest)
    metrics |= {"gradient_steps": jnp.float32(config.num_gradient_steps)}
    # chosen between, not branched on: the number is one of the run's, and differs within a sweep
    params, target, opt_state = select(started, learnt, (params, state.target, state.optimiser))
    metrics = jax.tree.map(lambda x: jnp.where(started, x, 0.0), metrics)
    if exploration:
        metrics |= {"noise": exploration["scale"]}
    if learner.actors.kind.is_soft:
        metrics |= {"entropy_weight": entropy_weights(params).mean()}
    metrics |= episode_metrics(learner.env, steps.timestep)
    return State(params, target, opt_state, buffer, paid, play), metrics


def off_policy(
    name: str,
    env: Environment,
    config: Config,
    hparams: Hparams,
    *,
    kind: Callable[[Config], PolicyKind],
    critics: BuildCritics,
    order: Order,
    with_beliefs: bool = False,
) -> Algorithm:
    """Returns the algorithm.

    Args:
      name: of the algorithm, for messages.
      env: discrete or bounded actions, any number of groups, action masks, deaths.
      config: what shapes the program; what recipes differ in is said.
      hparams: the defaults.
      kind: how an actor's output is an action, `deterministic` or `soft`.
      critics: builds the critics for (env, stacks, config).
      order: `at_once` or `in_turn`.
      with_beliefs: whether targets follow what agents believe of the others' policies, for which
        critics are one for each agent; see beliefs.py.

    Raises:
      ValueError: the environment does not fit, or the replay would not fit in memory.
    """
    learner = make_learner(name, env, config, kind, critics, order, with_beliefs)
    algorithm = Algorithm(
        partial(init, learner),
        partial(update, learner),
        policy(learner),
        hparams,
        env_steps=env_steps(config),
    )
    shapes = jax.eval_shape(algorithm.init, jax.random.key(0), hparams)
    replay.require_memory("buffer_length", config.buffer_length, shapes.buffer)
    return algorithm
