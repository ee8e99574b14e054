"""What every environment promises, checked on one: sentences for what it does not keep.

    for sentence in check_environment(maze()): print(sentence)

Each check is a function of a `World`, an environment with one random episode of it, and yields
complaints. The promises are those of `types.TimeStep` and `types.Environment`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.checks.complaints import (
    Complaints,
    changed,
    first_of_each,
    kind,
    kinds,
    outside,
    unequal,
)
from jaxmarl_core.play.policies import random_policy
from jaxmarl_core.play.wrappers import AutoReset, Keeping, Kept, observable
from jaxmarl_core.types import Environment, Renderable, TimeStep

ROUNDING = 1e-5


class World(NamedTuple):
    """An environment, its compiled functions, and one random episode of it."""

    env: Environment
    reset: Any
    step: Any
    rows: list  # (key, state, time step, actions) with the action taken there; the last has none

    @property
    def timesteps(self) -> list[TimeStep]:
        """Returns what was shown, from the first step to the last."""
        return [timestep for _, _, timestep, _ in self.rows]


def check_environment(env: Environment, max_steps: int = 0) -> list[str]:
    """Returns what is wrong with an environment, a sentence each; nothing is good news.

    Args:
      env: any; numbers, not tracers.
      max_steps: how long a random episode may take to end; 0: the environment's own `max_steps`,
        or 1000.
    """
    missing = [name for name in ("groups", "reset", "step") if not hasattr(env, name)]
    if missing:
        return [f"{type(env).__name__} has no {' and no '.join(missing)}; see types.Environment."]
    own_limit = getattr(env, "max_steps", None)
    limit = max_steps or (own_limit if isinstance(own_limit, int) else 1000)
    try:
        world = play_random_episode(env, limit)
    except Exception as error:
        return [f"A random episode cannot be played: {type(error).__name__}: {first_line(error)}"]
    # what is shown in another form cannot be asked for the rest
    return list(shows_what_it_says(world))[:10] or first_of_each(CHECKS, world)


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says."""
    return (str(error).strip().splitlines() or [""])[0]


def play_random_episode(env: Environment, max_steps: int = 300) -> World:
    """Returns the environment with an episode in which everybody acts at random."""
    reset, step, act = jax.jit(env.reset), jax.jit(env.step), jax.jit(random_policy(env).act)
    state, timestep = reset(jax.random.key(0))
    rows = []
    for t in range(max_steps):
        key_act, key_step = jax.random.split(jax.random.fold_in(jax.random.key(1), t))
        actions, _ = act((), key_act, timestep, ())
        rows.append((key_step, state, timestep, actions))
        state, timestep = step(key_step, state, actions)
        if timestep.last:
            break
    rows.append((None, state, timestep, None))
    return World(env, reset, step, rows)


# ---- what is shown


def shows_what_it_says(world: World) -> Complaints:
    """Time steps have the shapes, dtypes and bounds that groups and spaces say."""
    for t, timestep in enumerate(world.timesteps):
        for name, group in world.env.groups.items():
            where = f'of group "{name}" at step {t}'
            for field in ("observation", "reward", "discount", "alive"):
                if name not in getattr(timestep, field):
                    yield f"{field} {where} is missing."
                    return
            seen = timestep.observation[name]
            yield from outside(group.observation, seen, group.size, f"observation {where}")
            for field, dtype in (("reward", "float32"), ("discount", "float32"), ("alive", "bool")):
                x = getattr(timestep, field)[name]
                if (x.shape, x.dtype) != ((group.size,), dtype):
                    yield f"{field} {where} should be {dtype}[{group.size}], and is {kind(x)}."
            if not np.isfinite(timestep.reward[name]).all():
                yield f"reward {where} is no number."
            if not set(np.asarray(timestep.discount[name]).tolist()) <= {0.0, 1.0}:
                yield f"discount {where} should be 0 or 1, and is {timestep.discount[name]}."
            if name in timestep.action_mask:
                yield from _wrong_mask(timestep, name, group, where)
        if (timestep.last.shape, timestep.last.dtype) != ((), "bool"):
            yield f"last should be bool[] at step {t}, and is {kind(timestep.last)}."
        if not np.isfinite(timestep.state).all():
            yield f"state is no number at step {t}."


def _wrong_mask(timestep: TimeStep, name: str, group: Any, where: str) -> Complaints:
    mask, num_actions = timestep.action_mask[name], getattr(group.action, "num_values", None)
    if (mask.shape, mask.dtype) != ((group.size, num_actions), "bool"):
        yield f"action_mask {where} should be bool[{group.size}, {num_actions}]: {kind(mask)}."
    elif not mask[np.asarray(timestep.alive[name])].any(axis=-1).all():
        yield f"action_mask {where} leaves somebody who decides no legal action."


def keeps_its_structure(world: World) -> Complaints:
    """States and time steps have the same leaves, shapes and dtypes from reset to end."""
    first, *others = [
        kinds({"state": state, "timestep": timestep})
        for _, state, timestep, _ in (world.rows[0], world.rows[1], world.rows[-1])
    ]
    for other in others:
        for words in changed(first, other):
            yield f"{words} after a step: a scan wants it the same."


def compiles_once(world: World) -> Complaints:
    """One program serves all episodes."""
    for seed in range(3):
        state, _ = world.reset(jax.random.key(seed))
        world.step(jax.random.key(seed), state, world.rows[0][3])
    for name, function in (("reset", world.reset), ("step", world.step)):
        count = function._cache_size()
        if count != 1:
            yield f"{name} was compiled {count} times: what it returns changes its own input."


# ---- beginnings, ends and pay


def begins_with_nothing_earned(world: World) -> Complaints:
    """A first time step pays nothing, ends nothing, and everybody is alive."""
    first = world.timesteps[0]
    for name in world.env.groups:
        if (np.asarray(first.reward[name]) != 0).any():
            yield f'reward of group "{name}" should be 0 on reset: nothing led there.'
        if (np.asarray(first.discount[name]) != 1).any():
            yield f'discount of group "{name}" should be 1 on reset: more pay can come.'
        if not np.asarray(first.alive[name]).all():
            yield f'somebody of group "{name}" is not alive on reset.'
    if first.last:
        yield "last should be false on reset."


def ends_honestly(world: World) -> Complaints:
    """An episode ends; before that, who decides has more pay to come; then, all or none have."""
    *going, final = world.timesteps
    if not final.last:
        steps = len(going)
        yield f"A random episode did not end in {steps} steps; allow for more with max_steps."
        return
    at_the_end = set()
    for name in world.env.groups:
        alive = np.asarray(final.alive[name])
        at_the_end |= set(np.asarray(final.discount[name])[alive].tolist())
        for t, timestep in enumerate(going):
            if (np.asarray(timestep.discount[name]) < timestep.alive[name]).any():
                yield f'Somebody of group "{name}" decides at step {t} with a discount of 0.'
                return
    if len(at_the_end) > 1:
        yield "At the end some who decide have discount 0 and others 1: did it terminate or not?"


def pays_a_common_reward_in_common(world: World) -> Complaints:
    """Where `common_reward` is said, all members of the team are told one number."""
    for t, timestep in enumerate(world.timesteps):
        for team in {group.team for group in world.env.groups.values()}:
            told = [
                np.asarray(timestep.reward[name])
                for name, group in world.env.groups.items()
                if group.team == team and group.common_reward
            ]
            if told and (np.concatenate(told) != told[0][0]).any():
                yield f"Team {team} is said to have a common reward and is told several at step {t}"


def pays_nothing_after_a_discount_of_0(world: World) -> Complaints:
    """After a discount of 0 there is no pay, and the discount stays 0, until the reset."""
    for t, (before, after) in enumerate(zip(world.timesteps, world.timesteps[1:])):
        for name in world.env.groups:
            over = np.asarray(before.discount[name]) == 0
            if (np.asarray(after.reward[name])[over] != 0).any():
                yield f'Group "{name}" is paid at step {t + 1}, after a discount of 0.'
            if (np.asarray(after.discount[name])[over] != 0).any():
                yield f'discount of group "{name}" rises again at step {t + 1}.'


def heeds_nothing_of_the_dead(world: World) -> Complaints:
    """Played again with other actions of those who do not decide, a step is the same."""
    for t, (key, state, timestep, actions) in enumerate(world.rows[:-1]):
        other = {}
        for name, group in world.env.groups.items():
            alive = np.asarray(timestep.alive[name])
            another = jax.vmap(group.action.sample)(jax.random.split(jax.random.key(9), group.size))
            mix = lambda a, b, alive=alive: jnp.where(
                alive.reshape(-1, *[1] * (a.ndim - 1)), a, b.astype(a.dtype)
            )
            other[name] = jax.tree.map(mix, actions[name], another)
        if not unequal(actions, other):
            continue
        shown = [_of_the_living(world.env, world.step(key, state, x)[1]) for x in (actions, other)]
        for leaf in unequal(shown[0], shown[1]):
            yield f"What the dead do at step {t} changes {leaf} of the next."
            return


def _of_the_living(env: Environment, timestep: TimeStep) -> dict[str, Any]:
    """Returns what may not hang on the dead: their own last action may be shown to themselves."""
    keep = {name: np.asarray(timestep.alive[name]) for name in env.groups}
    seen = {
        name: jax.tree.map(lambda x, name=name: x[keep[name]], timestep.observation[name])
        for name in keep
    }
    told = {field: getattr(timestep, field) for field in ("reward", "discount", "alive", "state")}
    return {"observation": seen, **told}


# ---- pure functions


def repeats_by_its_key(world: World) -> Complaints:
    """The same keys and actions give the same episode, bit for bit."""
    state, timestep = world.reset(jax.random.key(0))
    for t, (key, _, expected, actions) in enumerate(world.rows):
        for leaf in unequal(timestep, expected):
            yield f"{leaf} of step {t} differs when it is played again with the same key."
            return
        if actions is not None:
            state, timestep = world.step(key, state, actions)


def begins_again_by_itself(world: World) -> Complaints:
    """Under AutoReset the last row shows the end and the next one a beginning."""
    step = jax.jit(AutoReset(world.env).step)
    keeps = isinstance(observable(world.env), Keeping)
    state_of = lambda inner, timestep: Kept(inner, timestep) if keeps else inner
    for t, (_, inner, before, actions) in enumerate(world.rows[:-1]):
        key = jax.random.fold_in(jax.random.key(2), t)
        _, key_step = jax.random.split(key)
        _, expected = world.step(key_step, inner, actions)
        _, timestep = step(key, state_of(inner, before), actions)
        for leaf in unequal(timestep, expected, ROUNDING):
            yield f"{leaf} of step {t + 1} is another under an automatic reset."
            return
    key = jax.random.key(3)
    key_reset, _ = jax.random.split(key)
    _, begun = world.reset(key_reset)
    _, inner, final, _ = world.rows[-1]
    if final.last:
        _, first = step(key, state_of(inner, final), actions)
        for leaf in unequal(first, begun, ROUNDING):
            yield f"{leaf} of the step after an automatic reset is not that of a reset."


def vmaps(world: World) -> Complaints:
    """Two copies of a step, one beside another, are what each is alone."""
    keys = jax.random.split(jax.random.key(4), 2)
    stack = lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    (_, state, _, actions), (_, later, *_) = world.rows[:2]
    backwards = jax.tree.map(lambda x: x[::-1], actions)
    states, joint = stack(state, later), stack(actions, backwards)
    _, together = jax.jit(jax.vmap(world.env.step))(keys, states, joint)
    for i, alone in enumerate([(state, actions), (later, backwards)]):
        one = jax.tree.map(lambda x, i=i: x[i], together)
        for leaf in unequal(one, world.step(keys[i], *alone)[1], ROUNDING):
            yield f"{leaf} of a step under vmap is not that of the step alone."
            return


def draws_pictures(world: World) -> Complaints:
    """Where there is `render(state)`, it gives images, and they tell what happened."""
    if not isinstance(world.env, Renderable):
        return
    states = [world.rows[i][1] for i in (0, -1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    images = np.asarray(jax.jit(jax.vmap(world.env.render))(stacked))  # a whole replay at once
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        yield f"render should give uint8[H, W, 3], and gives {images.dtype}{[*images.shape[1:]]}."
    elif (images[0] == images[1]).all():
        yield "render draws the first and the last state of an episode alike."


CHECKS = (
    shows_what_it_says,
    keeps_its_structure,
    compiles_once,
    begins_with_nothing_earned,
    ends_honestly,
    pays_a_common_reward_in_common,
    pays_nothing_after_a_discount_of_0,
    heeds_nothing_of_the_dead,
    repeats_by_its_key,
    begins_again_by_itself,
    vmaps,
    draws_pictures,
)


def explained() -> Iterator[tuple[str, str]]:
    """Yields every check's name and what it checks."""
    for check in CHECKS:
        yield check.__name__, str(check.__doc__)
