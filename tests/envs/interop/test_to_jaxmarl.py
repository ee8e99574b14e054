"""Ours in JaxMARL: the same transitions for the same keys, in its wrappers, jitted and scanned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import FIRST_CASES, PROBES, fitting
from flax import struct
from probes import ConstantReward, DyingAgents, MixedGroups, OneBitMemory

from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.envs.interop import to_jaxmarl
from jaxmarl_core.envs.interop.extras import undisturbed
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Group

with undisturbed():
    pytest.importorskip("jaxmarl", reason="needs the extra jaxmarl")
    from jaxmarl.environments import multi_agent_env, spaces
    from jaxmarl.wrappers.baselines import CTRolloutManager, LogWrapper, MPELogWrapper

NUM_STEPS, NUM_ENVS = 6, 2


def members(env):
    """(agent, group, row), in order."""
    for name, group in env.groups.items():
        for i in range(group.size):
            yield (name if group.size == 1 else f"{name}_{i}"), name, i


def by_agent(env, rows):
    return {agent: rows[name][i] for agent, name, i in members(env)}


def array(space, x):
    """An observation as NumPy's, discrete ones and parts laid out as one-hot."""
    if isinstance(space, Composite):
        return np.concatenate([array(part, x[name]).ravel() for name, part in space.items])
    if isinstance(space, Discrete):
        return np.eye(space.num_values, dtype=np.float32)[int(x)]
    return np.asarray(x)


def close(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def same(found, expected):
    """Whether two trees of one structure hold the same numbers, but for rounding."""
    near = jax.tree.map(lambda x, y: np.allclose(x, y, rtol=1e-5, atol=1e-6), found, expected)
    return all(jax.tree.leaves(near))


def random_actions(env, key, batch):
    """{group: [*batch, n, ...]}, uniform."""
    actions = {}
    for i, (name, group) in enumerate(env.groups.items()):
        keys = jax.random.split(jax.random.fold_in(key, i), int(np.prod(batch)) * group.size)
        flat = jax.vmap(group.action.sample)(keys)
        actions[name] = flat.reshape(*batch, group.size, *group.action.shape)
    return actions


def first(tree):
    """The first of a batch."""
    return jax.tree.map(lambda x: x[0], tree)


def told(env, timestep):
    """What JaxMARL's agents are told of a time step of ours: observations, rewards, dones."""
    observations, rewards, dones = {}, {}, {"__all__": bool(timestep.last)}
    for agent, name, i in members(env):
        seen = jax.tree.map(lambda x, i=i: x[i], timestep.observation[name])
        observations[agent] = array(env.groups[name].observation, seen)
        rewards[agent] = timestep.reward[name][i]
        dones[agent] = bool(timestep.last) or timestep.discount[name][i] == 0
    return observations, rewards, dones


@pytest.mark.parametrize("case", FIRST_CASES, ids=lambda case: "-".join(case))
def test_what_is_told_is_as_the_spaces_say(case):
    """Traced only, so that all environments may be gone through."""
    env, _ = fitting(*case)
    adapted = to_jaxmarl(env)

    def episode(key):
        observations, state = adapted.reset(key)
        actions = {agent: adapted.action_space(agent).sample(key) for agent in adapted.agents}
        later, _, rewards, dones, _ = adapted.step(key, state, actions)
        return observations, later, rewards, dones, adapted.get_avail_actions(state)

    with undisturbed():
        *seen, rewards, dones, legal = jax.eval_shape(episode, jax.random.key(0))
    assert adapted.agents == [agent for agent, *_ in members(env)]
    for agent in adapted.agents:
        space, action = adapted.observation_space(agent), adapted.action_space(agent)
        for each in seen:
            assert (each[agent].shape, each[agent].dtype) == (space.shape, space.dtype)
        assert (rewards[agent].shape, rewards[agent].dtype) == ((), jnp.float32)
        assert (dones[agent].shape, dones[agent].dtype) == ((), bool)
        assert legal[agent].shape == ((action.n,) if hasattr(action, "n") else action.shape)
    assert set(dones) == {*adapted.agents, "__all__"}


@pytest.mark.slow
@pytest.mark.parametrize("case", FIRST_CASES, ids=lambda case: "-".join(case))
def test_a_step_is_ours_for_the_same_keys(case):
    """JaxMARL's rule: split the key, step with the one half; at the end begin with the other.

    Rewards and dones are then those of the end. Both sides are one program, to compile once.
    """
    env, _ = fitting(*case)
    adapted = to_jaxmarl(env)
    begin = jax.jit(jax.vmap(lambda key: (adapted.reset(key), env.reset(key))))

    @jax.jit
    @jax.vmap
    def go_on(key, adapted_state, state, actions):
        key_step, key_reset = jax.random.split(key)
        fresh, stepped = env.reset(key_reset), env.step(key_step, state, actions)
        return adapted.step(key, adapted_state, by_agent(env, actions)), fresh, stepped

    key = jax.random.key(1)
    actions = random_actions(env, key, (NUM_STEPS, 1))
    (observations, adapted_state), (state, timestep) = begin(key[None])
    assert same(first(observations), told(env, first(timestep))[0])
    for t in range(NUM_STEPS):
        keys = jax.random.fold_in(key, t)[None]
        joint = jax.tree.map(lambda x, t=t: x[t], actions)
        got, fresh, stepped = go_on(keys, adapted_state, state, joint)
        adapted_state = got[1]
        state, timestep = stepped
        expected = told(env, first(timestep))
        discount = np.concatenate([timestep.discount[n][0] for n in env.groups])
        assert same(got[4]["discount"][0], discount)
        if expected[2]["__all__"]:
            state, timestep = fresh
            expected = (told(env, first(timestep))[0], *expected[1:])
        assert same(first((got[0], got[2], got[3])), expected)


PROBE_CASES = [("probe", case) for case in PROBES]


@pytest.mark.fast("mixed", "dying")
@pytest.mark.parametrize("case", PROBE_CASES, ids=lambda case: case[1])
def test_scanned_in_a_log_wrapper_it_steps_as_ours(case):
    """JaxMARL's scan over vmapped environments, beside a plain loop over ours."""
    env, _ = fitting(*case)
    wrapped = LogWrapper(to_jaxmarl(env))
    actions = random_actions(env, jax.random.key(1), (NUM_STEPS, NUM_ENVS))
    keys = jax.random.split(jax.random.key(2), (NUM_STEPS + 1, NUM_ENVS))

    @jax.jit
    def play(keys, actions):
        def step(state, inputs):
            keys, joint = inputs
            spoken = {agent: joint[name][:, i] for agent, name, i in members(env)}
            observations, state, *rest = jax.vmap(wrapped.step)(keys, state, spoken)
            return state, (observations, *rest)

        begun, state = jax.vmap(wrapped.reset)(keys[0])
        return begun, jax.lax.scan(step, state, (keys[1:], actions))[1]

    begun, (observations, rewards, dones, infos) = play(keys, actions)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    num_agents = len(list(members(env)))
    for b in range(NUM_ENVS):
        state, timestep = reset(keys[0, b])
        jax.tree.map(close, jax.tree.map(lambda x, b=b: x[b], begun), told(env, timestep)[0])
        returns, length = np.zeros(num_agents), 0
        for t in range(NUM_STEPS):
            key_step, key_reset = jax.random.split(keys[t + 1, b])
            joint = jax.tree.map(lambda x, t=t, b=b: x[t, b], actions)
            state, timestep = step(key_step, state, joint)
            expected = told(env, timestep)
            discount = np.concatenate([timestep.discount[name] for name in env.groups])
            returns += [float(reward) for reward in expected[1].values()]
            length += 1
            ended = expected[2]["__all__"]
            if ended:
                state, timestep = reset(key_reset)
                expected = (told(env, timestep)[0], *expected[1:])
            got = jax.tree.map(lambda x, t=t, b=b: x[t, b], (observations, rewards, dones, infos))
            jax.tree.map(close, got[:3], expected)
            close(got[3]["discount"], discount)
            assert got[3]["returned_episode"].tolist() == [ended] * num_agents
            if ended:
                close(got[3]["returned_episode_returns"], returns)
                close(got[3]["returned_episode_lengths"], length)
                returns, length = np.zeros(num_agents), 0


WORLDS = {
    "mixed": MixedGroups(2),
    "dying": DyingAgents(),
}


@pytest.mark.parametrize("name", WORLDS)
def test_step_is_that_of_jaxmarl(name):
    """The step that observes once, beside the one JaxMARL writes for all its environments."""
    env = WORLDS[name]
    adapted = to_jaxmarl(env, world_state=True)
    theirs = jax.jit(lambda *args: multi_agent_env.MultiAgentEnv.step(adapted, *args))
    actions = random_actions(env, jax.random.key(3), (5,))
    _, state = adapted.reset(jax.random.key(0))
    _, begun = adapted.reset(jax.random.key(9))
    ends = 0
    for t in range(5):
        spoken = {agent: actions[group][t, i] for agent, group, i in members(env)}
        key = jax.random.key(t)
        for reset_state in ((), (begun,)):
            got = adapted.step(key, state, spoken, *reset_state)
            expected = theirs(key, state, spoken, *reset_state)
            assert jax.tree.structure(got) == jax.tree.structure(expected)
            jax.tree.map(close, got, expected)
        ends += int(got[3]["__all__"])
        state = got[1]
    assert ends > 0


def test_agents_spaces_and_masks():
    adapted = to_jaxmarl(MixedGroups())
    assert adapted.agents == ["choosers_0", "choosers_1", "aimer"]
    assert adapted.num_agents == 3
    assert adapted.agent_classes == {"choosers": ["choosers_0", "choosers_1"], "aimer": ["aimer"]}
    assert adapted.name == "MixedGroups"
    chosen, aimed = (adapted.action_space(agent) for agent in ("choosers_1", "aimer"))
    assert (type(chosen), chosen.n) == (spaces.Discrete, 3)
    assert (type(aimed), aimed.low, aimed.high, aimed.shape) == (spaces.Box, -1.0, 1.0, (1,))
    seen = adapted.observation_space("choosers_0")
    assert (type(seen), seen.low, seen.high, seen.shape) == (spaces.Box, 0.0, 1.0, (2,))
    observations, state = adapted.reset(jax.random.key(0))
    for agent in adapted.agents:
        assert adapted.observation_space(agent).contains(observations[agent])
        assert adapted.observation_space(agent).shape == observations[agent].shape
    legal = adapted.get_avail_actions(state)
    assert {agent: mask.tolist() for agent, mask in legal.items()} == {
        "choosers_0": [True, True, False],
        "choosers_1": [True, True, False],
        "aimer": [True],
    }


def test_the_dead_stay_done_and_may_do_anything():
    adapted = to_jaxmarl(DyingAgents(3))
    _, state = adapted.reset(jax.random.key(0))
    assert state.done.tolist() == [False] * 3
    ones = dict.fromkeys(adapted.agents, jnp.int32(1))
    for t in (1, 2, 3):
        _, state, rewards, dones, infos = adapted.step_env(jax.random.key(t), state, ones)
        dead = [i < t for i in range(3)]
        assert state.done.tolist() == dead
        assert int(state.step) == t
        assert [bool(dones[agent]) for agent in adapted.agents] == dead
        assert bool(dones["__all__"]) == (t == 3)
        assert infos["discount"].tolist() == [1.0 - gone for gone in dead]
        # paid until they die
        assert [float(rewards[agent]) == 1 for agent in adapted.agents[t - 1 :]] == [True] * (4 - t)
        assert all(mask.all() for mask in adapted.get_avail_actions(state).values())


def test_a_time_limit_is_done_with_discount_1():
    adapted = to_jaxmarl(ConstantReward(1, 1, truncate=True))
    _, state = adapted.reset(jax.random.key(0))
    *_, dones, infos = adapted.step_env(jax.random.key(0), state, {"agents": jnp.int32(0)})
    assert bool(dones["agents"]) and bool(dones["__all__"])
    assert infos["discount"].tolist() == [1.0]


def test_the_particle_log_wrapper_counts_a_reward_for_every_agent():
    """`MPELogWrapper` multiplies by the number of agents: 2 agents, 3 steps of 1 are 6 each."""
    wrapped = MPELogWrapper(to_jaxmarl(ConstantReward(2, 3)))
    _, state = wrapped.reset(jax.random.key(0))
    for t in range(3):
        actions = dict.fromkeys(wrapped.agents, jnp.int32(0))
        *_, info = wrapped.step(jax.random.key(t), state, actions)
        state = _[1]
    assert info["returned_episode_returns"].tolist() == [6.0, 6.0]
    assert info["returned_episode_lengths"].tolist() == [3.0, 3.0]


def test_the_rollout_manager_of_the_q_learners_takes_it():
    """It adds each agent's number, sums rewards, and silences the dead."""
    env = DyingAgents(3)
    manager = CTRolloutManager(to_jaxmarl(env), batch_size=2)
    assert (manager.obs_size, manager.max_action_space) == (2 + 3, 2)

    def step(carry, key):
        _, state = carry
        keys = jax.random.split(key, 3)
        actions = {a: manager.batch_sample(k, a) for a, k in zip(manager.agents, keys)}
        observations, state, rewards, dones, _ = manager.batch_step(key, state, actions)
        return (observations, state), (observations, rewards, dones, actions)

    begun = manager.batch_reset(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 4)
    _, (observations, rewards, dones, actions) = jax.jit(lambda *args: jax.lax.scan(step, *args))(
        begun, keys
    )
    alive = np.array([0.0, 1.0])  # one-hot of "alive"
    for i, agent in enumerate(manager.agents):
        close(begun[0][agent], np.tile(np.concatenate([alive, np.eye(3)[i]]), (2, 1)))
        gone = np.arange(1, 5) > i  # after i + 1 steps; the third ends all, the fourth is anew
        gone[2], gone[3] = True, i == 0
        np.testing.assert_array_equal(dones[agent], np.stack([gone, gone], -1))
        np.testing.assert_array_equal((observations[agent] == 0).all(-1), np.stack([gone] * 2, -1))
    close(rewards["__all__"], sum(rewards[agent] for agent in manager.agents))
    close(rewards["agents_2"][:3], actions["agents_2"][:3])
    assert observations["__all__"].shape == (4, 2, 3 * 2)


def test_named_as_smax_the_rollout_manager_uses_masks_and_state():
    @struct.dataclass
    class Masked(OneBitMemory):
        def observe(self, state):
            mask = jnp.stack([state.step > 0, jnp.bool_(True)])
            mask = {"agents": jnp.broadcast_to(mask, (self.num_agents, 2))}
            return super().observe(state).replace(action_mask=mask)

    manager = CTRolloutManager(to_jaxmarl(Masked(2), world_state=True, name="not_smax"), 4)
    observations, state = manager.batch_reset(jax.random.key(0))
    close(observations["__all__"], np.concatenate([state.inner.bit, np.zeros((4, 1))], -1))
    legal = manager.get_valid_actions(state)
    assert legal["agents_1"].tolist() == [[False, True]] * 4


def test_what_a_central_critic_sees():
    env = OneBitMemory(3)
    adapted = to_jaxmarl(env, world_state=True)
    observations, state = adapted.reset(jax.random.key(4))
    expected = np.append(state.inner.bit, 0)
    close(observations["world_state"], expected)
    close(adapted.get_world_state(state), expected)
    assert adapted.state_size == 4
    assert "world_state" not in to_jaxmarl(env).reset(jax.random.key(4))[0]


@struct.dataclass
class Told(ConstantReward):
    """Groups as told."""

    told: dict = struct.field(pytree_node=False, default_factory=dict)

    @property
    def groups(self):
        return self.told


def test_composite_actions_of_choices_become_multi_discrete():
    @struct.dataclass
    class TwoChoices(ConstantReward):
        """Reward: 10 times the one choice plus the other."""

        @property
        def groups(self):
            choices = Composite({"tens": Discrete(3), "ones": Discrete(5)})
            return {"agents": Group(2, Discrete(1), choices)}

        def step(self, key, state, actions):
            state, timestep = super().step(key, state, actions)
            chosen = actions["agents"]
            paid = 10.0 * chosen["tens"] + chosen["ones"]
            return state, timestep.replace(reward={"agents": paid})

    adapted = to_jaxmarl(TwoChoices(2))
    assert adapted.action_space("agents_1").num_categories.tolist() == [3, 5]
    _, state = adapted.reset(jax.random.key(0))
    assert adapted.get_avail_actions(state)["agents_0"].shape == (8,)
    actions = {"agents_0": jnp.array([2, 1]), "agents_1": jnp.array([0, 4])}
    _, _, rewards, *_ = adapted.step(jax.random.key(0), state, actions)
    assert (float(rewards["agents_0"]), float(rewards["agents_1"])) == (21.0, 4.0)


def test_masks_of_choices_stand_one_after_the_other():
    """A part that is not told of is free; the second agent has nothing legal in the first."""

    @struct.dataclass
    class TwoChoices(ConstantReward):
        @property
        def groups(self):
            choices = Composite({"tens": Discrete(3), "ones": Discrete(2)})
            return {"agents": Group(2, Discrete(1), choices)}

        def observe(self, state):
            mask = {"tens": jnp.array([[True, False, True], [False] * 3])}
            return super().observe(state).replace(action_mask={"agents": mask})

    adapted = to_jaxmarl(TwoChoices(2))
    _, state = adapted.reset(jax.random.key(0))
    legal = adapted.get_avail_actions(state)
    assert legal["agents_0"].tolist() == [True, False, True, True, True]
    assert legal["agents_1"].tolist() == [True] * 5


def test_actions_may_have_axes_of_length_1_more_or_less():
    """JaxMARL's ippo_ff_mpe and mappo_rnn_mpe send Discrete actions of shape [1]: hunting the stag
    alone pays (0, 3), which broadcasting would make (3, 3)."""
    adapted = to_jaxmarl(matrix_game("stag_hunt"))
    _, state = adapted.reset(jax.random.key(0))
    sent = {"player_0": jnp.array([0]), "player_1": jnp.array([1])}
    plain = {"player_0": jnp.int32(0), "player_1": jnp.int32(1)}
    for actions in (sent, plain):
        observations, _, rewards, *_ = adapted.step(jax.random.key(0), state, actions)
        assert [float(rewards[f"player_{i}"]) for i in range(2)] == [0.0, 3.0]
        for agent in adapted.agents:
            assert observations[agent].shape == adapted.observation_space(agent).shape
    mixed = to_jaxmarl(MixedGroups())
    _, state = mixed.reset(jax.random.key(0))
    chosen = {"choosers_0": jnp.array([1]), "choosers_1": jnp.array([[0]])}
    jax.tree.map(
        close,
        mixed.step(jax.random.key(0), state, chosen | {"aimer": jnp.float32(0.5)})[2],
        mixed.step(
            jax.random.key(0),
            state,
            {"choosers_0": 1, "choosers_1": 0, "aimer": jnp.array([0.5])},
        )[2],
    )
    with pytest.raises(ValueError, match=r"action of aimer: expected of shape \(1,\), got \(2,\)"):
        mixed.step(jax.random.key(0), state, chosen | {"aimer": jnp.zeros(2)})


def test_the_first_team_is_what_learns_in_smaxs_programs():
    assert to_jaxmarl(DyingAgents(3)).num_allies == 3
    assert to_jaxmarl(battle(map_size=12, num_red=3, num_blue=4)).num_allies == 3


def test_what_cannot_be_said_names_the_group():
    mixed = Composite({"which": Discrete(2), "how_far": Box((1,))})
    with pytest.raises(ValueError, match="drone: action: expected Discrete, Box, or a Composite"):
        to_jaxmarl(Told(told={"drone": Group(2, Discrete(1), mixed)}))
    with pytest.raises(ValueError, match=r"drone: observation: .*got nothing"):
        to_jaxmarl(Told(told={"drone": Group(2, "nothing", Discrete(2))}))
    two, one = (Group(size, Discrete(1), Discrete(2)) for size in (2, 1))
    with pytest.raises(ValueError, match=r"groups: .*'a_1' in 'a' and in 'a_1'"):
        to_jaxmarl(Told(told={"a": two, "a_1": one}))


def test_there_and_back_again():
    """Ours, as JaxMARL's, as ours: the same observations and rewards."""
    from jaxmarl_core.envs.interop.from_jaxmarl import adapted

    env = MixedGroups(3)
    back = adapted(to_jaxmarl(env), teams=("choosers", "aimer"))
    assert list(back.groups) == ["choosers", "aimer"]
    key = jax.random.key(5)
    (state, timestep), (state_back, timestep_back) = env.reset(key), back.reset(key)
    for t in range(3):
        for name in env.groups:
            seen = timestep.observation[name]
            seen = np.eye(2)[seen] if name == "choosers" else seen
            close(timestep_back.observation[name], seen)
            close(timestep_back.reward[name], timestep.reward[name])
            close(timestep_back.discount[name], timestep.discount[name])
        np.testing.assert_array_equal(
            timestep_back.action_mask["choosers"], timestep.action_mask["choosers"]
        )
        actions = random_actions(env, jax.random.fold_in(key, t), ())
        key_step = jax.random.key(t)
        state, timestep = env.step(key_step, state, actions)
        state_back, timestep_back = back.step(key_step, state_back, actions)
    assert bool(timestep.last) and bool(timestep_back.last)
