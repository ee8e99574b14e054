"""Ours in PettingZoo: its own tests, and the same episodes as ours for the same keys."""

import pickle
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import FIRST_CASES, PROBES, fitting
from flax import struct
from probes import ClockState, ConstantReward, DyingAgents, MixedGroups, OneBitMemory

from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.envs.interop import to_pettingzoo
from jaxmarl_core.spaces import Box, Composite, Discrete
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

pytest.importorskip("pettingzoo", reason="needs the extra pettingzoo")

from gymnasium import spaces as gym

from jaxmarl_core.envs.interop import parallel_env
from jaxmarl_core.envs.interop.extras import undisturbed
from jaxmarl_core.envs.interop.registered_name import registered_name

with undisturbed():  # its tests import its games, in a way it advises against
    from pettingzoo import ParallelEnv
    from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, render_test
    from pettingzoo.test.seed_test import parallel_seed_test
    from pettingzoo.utils import parallel_to_aec


ONE_OF_A_KIND = ("battle", "matrix_game", "simple_spread", "simple_tag", "soccer", "probe")


def others_slow(case):
    """The case; slow, as PettingZoo steps in Python, unless its world is one of a kind."""
    ((name, _),), marks = getattr(case, "values", (case,)), getattr(case, "marks", ())
    slow = () if name in ONE_OF_A_KIND else (pytest.mark.slow,)
    return pytest.param(*getattr(case, "values", (case,)), marks=(*marks, *slow))


@pytest.fixture(
    scope="module", params=map(others_slow, FIRST_CASES), ids=lambda case: "-".join(case)
)
def env(request):
    return fitting(*request.param)[0]


@pytest.mark.parametrize("masks", ["info", "observation"])
def test_passes_the_api_test(env, masks, capsys):
    parallel_api_test(to_pettingzoo(env, masks=masks), num_cycles=300)
    assert "Passed" in capsys.readouterr().out


def test_passes_the_seed_test(env):
    parallel_seed_test(lambda: to_pettingzoo(env), num_cycles=300)
    first, again = (to_pettingzoo(env).reset(seed=7)[0] for _ in range(2))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, first, again)))


def close(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def members(env):
    """(agent, group, row), in order."""
    for name, group in env.groups.items():
        for i in range(group.size):
            yield (name if group.size == 1 else f"{name}_{i}"), name, i


def joined(env, actions):
    """Actions by agent as actions by group; the missing do the first thing in their space."""
    joint = {}
    for name, group in env.groups.items():
        nothing = jax.tree.map(np.zeros, group.action.shape, is_leaf=lambda x: isinstance(x, tuple))
        rows = [actions.get(agent, nothing) for agent, owner, _ in members(env) if owner == name]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
        kinds = group.action.dtype
        joint[name] = (
            {part: stacked[part].astype(kinds[part]) for part in kinds}
            if isinstance(kinds, dict)
            else stacked.astype(kinds)
        )
    return joint


@pytest.mark.parametrize("case", PROBES)
def test_an_episode_of_a_probe_is_ours_for_the_same_keys(case):
    check_an_episode_is_ours_for_the_same_keys(fitting("probe", case)[0])


@pytest.mark.slow
def test_an_episode_is_ours_for_the_same_keys(env):
    check_an_episode_is_ours_for_the_same_keys(env)


def check_an_episode_is_ours_for_the_same_keys(env):
    """Every living agent is told what our step gives for it; who has ended leaves for good."""
    world = to_pettingzoo(env, seed=5)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    key, key_reset = jax.random.split(jax.random.key(7))
    state, timestep = reset(key_reset)
    observations, infos = world.reset(seed=7)
    living = [agent for agent, *_ in members(env)]
    assert world.possible_agents == world.agents == living
    for _ in range(5):
        if not living:
            break
        actions = {
            agent: world.action_space(agent).sample(infos[agent].get("action_mask"))
            for agent in living
        }
        key, key_step = jax.random.split(key)
        state, timestep = step(key_step, state, joined(env, actions))
        observations, rewards, terminations, truncations, infos = world.step(actions)

        told = (observations, rewards, terminations, truncations, infos)
        assert [list(each) for each in told] == [living] * 5
        over = bool(timestep.last)
        for agent, group, i in members(env):
            if agent not in living:
                continue
            expected = jax.tree.map(lambda x, i=i: x[i], timestep.observation[group])
            jax.tree.map(close, observations[agent], expected)
            assert observations[agent] in world.observation_space(agent)
            assert isinstance(rewards[agent], float)
            close(rewards[agent], timestep.reward[group][i])
            ended = float(timestep.discount[group][i]) == 0.0
            assert (terminations[agent], truncations[agent]) == (ended, over and not ended)
            if group in timestep.action_mask:
                mask = infos[agent]["action_mask"]
                assert mask.dtype == np.int8
                np.testing.assert_array_equal(mask, timestep.action_mask[group][i])
            else:
                assert infos[agent] == {}
        living = [a for a in living if not terminations[a] and not truncations[a]]
        assert world.agents == living
        close(world.state(), timestep.state)
        assert world.state() in world.state_space
    if bool(timestep.last):
        assert living == []
        assert world.step({}) == ({}, {}, {}, {}, {})


def test_the_dying_leave_with_their_last_reward():
    world = to_pettingzoo(DyingAgents(3))
    world.reset()
    for num_living in (3, 2, 1):
        agents = [f"agents_{i}" for i in range(3 - num_living, 3)]
        assert world.agents == agents
        _, rewards, terminations, truncations, _ = world.step(dict.fromkeys(agents, 1))
        assert rewards == dict.fromkeys(agents, 1.0)
        assert terminations == {agent: i == 0 for i, agent in enumerate(agents)}
        assert not any(truncations.values())
    assert world.agents == []


def test_a_time_limit_truncates_and_an_end_terminates():
    for truncate in (False, True):
        world = to_pettingzoo(ConstantReward(2, 1, truncate))
        world.reset()
        _, _, terminations, truncations, _ = world.step({"agents_0": 0, "agents_1": 0})
        assert set(terminations.values()) == {not truncate}
        assert set(truncations.values()) == {truncate}


def test_masks_stand_where_asked():
    legal = np.array([1, 1, 0], np.int8)
    in_info = to_pettingzoo(MixedGroups())
    seen, infos = in_info.reset()
    assert in_info.agents == ["choosers_0", "choosers_1", "aimer"]
    assert in_info.observation_space("choosers_1") == gym.Discrete(2, dtype=np.int32)
    np.testing.assert_array_equal(infos["choosers_1"]["action_mask"], legal)
    assert infos["aimer"] == {}

    seen, infos = (in_observation := to_pettingzoo(MixedGroups(), masks="observation")).reset()
    assert set(in_observation.observation_space("choosers_1").keys()) == {
        "observation",
        "action_mask",
    }
    np.testing.assert_array_equal(seen["choosers_1"]["action_mask"], legal)
    assert infos["choosers_1"] == {}
    assert in_observation.observation_space("aimer") == gym.Box(-np.inf, np.inf, (2,))
    assert seen["aimer"].shape == (2,)


@struct.dataclass
class Stretching(StateEnvironment):
    """One agent with two hands: "which" of 3, "how_far" [2] in [-1, 1]; it is paid their sum."""

    @property
    def groups(self):
        action = Composite({"which": Discrete(3), "how_far": Box((2,), -1.0, 1.0)})
        seen = Composite({"image": Box((2, 2), 0, 255, jnp.uint8), "count": Box((1,), 0, 9)})
        return {"agent": Group(2, seen, action)}

    def initial(self, key):
        return ClockState(jnp.zeros(2))

    def advance(self, key, state, actions):
        hands = actions["agent"]
        return ClockState(hands["which"] + hands["how_far"].sum(-1))

    def observe(self, state):
        seen = {"image": jnp.full((2, 2, 2), 3, jnp.uint8), "count": jnp.ones((2, 1))}
        ones = jnp.ones(2)
        alive, last = ones > 0, jnp.bool_(False)
        return TimeStep(
            observation={"agent": seen}, action_mask={}, alive={"agent": alive}, state=state.step,
            reward={"agent": state.step}, discount={"agent": ones}, last=last,
        )  # fmt: skip


def test_composite_spaces_become_dicts():
    world = to_pettingzoo(Stretching())
    seen, _ = world.reset()
    assert world.observation_space("agent_1") == gym.Dict(
        [("image", gym.Box(0, 255, (2, 2), np.uint8)), ("count", gym.Box(0, 9, (1,)))]
    )
    assert seen["agent_1"] in world.observation_space("agent_1")
    half = {"which": 2, "how_far": np.array([0.5, 0.25])}
    none = {"which": np.int64(0), "how_far": np.array([-1.0, 0.0], np.float32)}
    _, rewards, *_ = world.step({"agent_0": half, "agent_1": none})
    assert rewards == {"agent_0": 2.75, "agent_1": -1.0}
    parallel_seed_test(lambda: to_pettingzoo(Stretching()), num_cycles=3)


@struct.dataclass
class Handcuffed(Stretching):
    """Hands that may not take the last of three things; how far they stretch is up to them."""

    def observe(self, state):
        mask = {"which": jnp.array([[True, True, False]] * 2)}
        return super().observe(state).replace(action_mask={"agent": mask})


@pytest.mark.parametrize("masks", ["info", "observation"])
def test_masks_of_parts_are_dicts(masks, capsys):
    world = to_pettingzoo(Handcuffed(), masks=masks)
    seen, infos = world.reset()
    told = (infos if masks == "info" else seen)["agent_1"]["action_mask"]
    assert list(told) == ["which"] and told["which"].dtype == np.int8
    np.testing.assert_array_equal(told["which"], [1, 1, 0])
    assert seen["agent_1"] in world.observation_space("agent_1")
    *_, infos = world.step({agent: {"which": 1, "how_far": np.zeros(2)} for agent in world.agents})
    assert (infos["agent_0"] == {}) == (masks == "observation")


@pytest.mark.parametrize("masks", ["info", "observation"])
def test_dicts_become_vectors_where_asked(masks):
    """Four bytes of an image, then a count; bounds are the widest of both."""
    world = to_pettingzoo(Handcuffed(), masks=masks, flatten=True)
    space = world.observation_space("agent_0")
    seen, _ = world.reset()
    assert seen["agent_0"] in space
    vector = seen["agent_0"] if masks == "info" else seen["agent_0"]["observation"]
    space = space if masks == "info" else space["observation"]
    assert space == gym.Box(0, 255, (5,), np.float32)
    np.testing.assert_array_equal(vector, [3, 3, 3, 3, 1])
    seen, *_ = world.step({agent: {"which": 1, "how_far": np.zeros(2)} for agent in world.agents})
    assert seen["agent_1"] in world.observation_space("agent_1")
    plain = to_pettingzoo(ConstantReward(2), flatten=True)
    assert plain.observation_space("agents_0") == gym.Discrete(1, dtype=np.int32)


def test_bounds_of_integers_are_those_of_their_dtype():
    from jaxmarl_core.envs.interop.gymnasium_spaces import gymnasium_space

    assert gymnasium_space(Box((3,), dtype=jnp.int32), "x") == gym.Box(
        np.full(3, -(2**31), np.int32), np.full(3, 2**31 - 1, np.int32), dtype=np.int32
    )


def bits(seen):
    return [int(bit) for bit in seen.values()]


def test_seeds_repeat_and_episodes_differ():
    first, second = (to_pettingzoo(OneBitMemory(24), seed=3) for _ in range(2))
    episodes = [bits(first.reset()[0]) for _ in range(3)]
    assert episodes == [bits(second.reset()[0]) for _ in range(3)]
    assert len({tuple(episode) for episode in episodes}) == 3
    assert bits(first.reset(seed=3)[0]) == episodes[0]
    assert bits(first.reset()[0]) == episodes[1]
    assert bits(first.reset(seed=4)[0]) != episodes[0]

    draws = [[space.sample() for _ in range(9)] for space in first.action_spaces.values()]
    assert draws == [[space.sample() for _ in range(9)] for space in second.action_spaces.values()]
    assert len({tuple(draw) for draw in draws}) > 12, "agents do not draw the same"


def test_what_is_told_may_be_written_to():
    """Torch warns about arrays that it may not write to."""
    seen, infos = (world := to_pettingzoo(MixedGroups())).reset()
    seen["aimer"][:] = 5
    infos["choosers_0"]["action_mask"][:] = 0
    assert world.state().flags.writeable


def test_one_program_serves_all_episodes_and_copies():
    for seed in range(2):
        world = to_pettingzoo(ConstantReward(2, 17), seed)
        for _ in range(2):
            world.reset()
            for _ in range(3):
                world.step({agent: world.action_space(agent).sample() for agent in world.agents})
            if seed == 0:
                sizes = parallel_env._begin._cache_size(), parallel_env._go_on._cache_size()
    assert sizes == (parallel_env._begin._cache_size(), parallel_env._go_on._cache_size())


def test_renders_what_the_environment_draws():
    env = matrix_game("climbing", num_rounds=2)
    world = to_pettingzoo(env, render_mode="rgb_array", render_fps=7, name="climbing_v0")
    assert world.metadata["render_modes"] == ["human", "rgb_array"]
    assert world.metadata["render_fps"] == 7
    assert str(world) == "climbing_v0"
    with pytest.raises(RuntimeError, match="reset"):
        world.render()
    world.reset(seed=1)
    before = world.render()
    world.step({"agents_0": 1, "agents_1": 2})
    _, key_reset = jax.random.split(jax.random.key(1))
    np.testing.assert_array_equal(before, jax.jit(env.render)(env.initial(key_reset)))
    assert before.dtype == np.uint8
    assert (world.render() != before).any()
    assert to_pettingzoo(env).render() is None


def test_a_window_shows_every_step(monkeypatch):
    """Farama's own test of rendering; the screen is a stand-in that counts."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    make = lambda **options: to_pettingzoo(matrix_game(), render_fps=1000, **options)
    with undisturbed():
        render_test(lambda **options: parallel_to_aec(make(**options)))
    world = make(render_mode="human")
    world.reset(seed=1)
    drawn = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    _, key_reset = jax.random.split(jax.random.key(1))
    env = matrix_game()
    np.testing.assert_array_equal(drawn, jax.jit(env.render)(env.initial(key_reset)))
    assert pygame.display.get_caption()[0] == "matrix_game"
    world.step({"player_0": 0, "player_1": 1})
    now = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert (now != drawn).any() and world.render() is None
    world.close()
    assert not pygame.display.get_init()
    world.close()


# Where several builders make one class, and where the class is not theirs.
CALLED = {"battlefield": "battle"} | dict.fromkeys(
    [
        "linear_quadratic_game",
        "linear_quadratic_players",
        "nonlinear_control",
        "nonlinear_zero_sum",
    ],
    "DifferentialGame",
)


def test_it_is_called_as_in_the_registry(env, request):
    name = request.node.callspec.id.partition("-")[0]
    if name != "probe":
        assert registered_name(env) == CALLED.get(name, name)


@pytest.mark.slow
def test_it_pickles(env):
    """Here and elsewhere: the same episode goes on as if nothing had been between."""
    world = to_pettingzoo(env, seed=3)
    world.reset()
    again = pickle.loads(pickle.dumps(world))
    acts = {agent: world.action_space(agent).sample() for agent in world.agents}
    same = jax.tree.map(np.array_equal, world.step(acts), again.step(acts))
    assert all(jax.tree.leaves(same))


def test_a_time_limit_is_as_many_steps():
    """Farama's test of time limits, with a world each of those that count themselves."""
    games = SimpleNamespace(
        parallel_env=lambda max_cycles: to_pettingzoo(matrix_game(num_rounds=max_cycles)),
    )
    games.env = lambda max_cycles: parallel_to_aec(games.parallel_env(max_cycles))
    max_cycles_test(games)
    world = games.parallel_env(3)
    world.reset(seed=0)
    num_steps = 0
    while world.agents:
        world.step(dict.fromkeys(world.agents, 0))
        num_steps += 1
    assert num_steps == 3


@pytest.mark.filterwarnings("ignore:Observation is not a NumPy array")
@pytest.mark.filterwarnings("ignore:State")
def test_plays_agent_by_agent_too():
    """PettingZoo's conversion of a ParallelEnv is what it tests its own games with."""
    world = to_pettingzoo(DyingAgents(3), name="dying_v0")
    assert isinstance(world, ParallelEnv)
    api_test(parallel_to_aec(world), num_cycles=20)


@struct.dataclass
class Odd(ConstantReward):
    """Groups as told."""

    odd: dict = struct.field(pytree_node=False, default_factory=dict)

    @property
    def groups(self):
        return self.odd


def test_what_cannot_be_said_names_the_group():
    half = Group(1, Box((2,), dtype=jnp.bfloat16), Discrete(2))
    with pytest.raises(ValueError, match=r"drone: observation: expected a dtype.*got bfloat16"):
        to_pettingzoo(Odd(odd={"drone": half}))
    with pytest.raises(ValueError, match=r"drone: action.wing: expected a Discrete, Box"):
        bad = Group(1, Discrete(2), Composite({"wing": "flap"}))
        to_pettingzoo(Odd(odd={"drone": bad}))
    with pytest.raises(ValueError, match=r"groups: .*'a_1' in 'a' and in 'a_1'"):
        two, one = (Group(size, Discrete(1), Discrete(2)) for size in (2, 1))
        to_pettingzoo(Odd(odd={"a": two, "a_1": one}))


def test_mistakes_are_told():
    env = MixedGroups()
    for wrong, field in (
        ({"masks": "obs"}, "masks: expected one of info, observation, got 'obs'"),
        ({"render_mode": "rgb_array"}, "render_mode: expected None"),
        ({"render_fps": 0}, "render_fps: expected above 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=field):
            to_pettingzoo(env, **wrong)
    with pytest.raises(ValueError, match="render_mode"):
        to_pettingzoo(matrix_game(), render_mode="ansi")

    world = to_pettingzoo(env)
    with pytest.raises(RuntimeError, match="reset"):
        world.step({})
    with pytest.raises(RuntimeError, match="reset"):
        world.state()
    world.reset()
    fine = {"choosers_0": 0, "choosers_1": 1, "aimer": np.zeros(1)}
    for wrong, message in (
        ({"choosers_1": 0}, r"actions: .*got none for \['choosers_0', 'aimer'\]"),
        (fine | {"chooser_1": 0}, "actions: .*did you mean 'choosers_1'"),
        (fine | {"choosers_0": 3}, r"action of choosers_0: expected one of Discrete.*got 3"),
        (fine | {"choosers_0": 0.5}, r"action of choosers_0: .*got 0.5"),
        (fine | {"aimer": np.zeros(2)}, r"action of aimer: expected one of Box\(shape=\(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            world.step(wrong)
    with pytest.raises(ValueError, match="seed"):
        world.reset(seed=-3)
    with pytest.raises(ValueError, match=r"agent: .*did you mean 'aimer'"):
        world.action_space("aimers")
    world.step(fine)  # none of the above has moved it
    hands = to_pettingzoo(Stretching())
    hands.reset()
    with pytest.raises(ValueError, match="action of agent_0: expected a dict with which, how_far"):
        hands.step({"agent_0": {"which": 0}, "agent_1": 0})


def test_the_other_libraries_are_imported_when_needed():
    code = (
        "import sys, jaxmarl_core.envs.interop\n"
        "assert not {'pettingzoo', 'gymnasium', 'jaxmarl', 'gymnax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_battle_of_64_against_64(capsys):
    parallel_api_test(to_pettingzoo(battle(map_size=40, num_red=64, num_blue=64, max_steps=60)))
    assert "Passed" in capsys.readouterr().out
