"""JaxMARL worlds here do what they do there, for the same keys; ends and teams are told."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import jaxmarl
from jaxmarl_core.envs.interop.from_jaxmarl import adapted
from jaxmarl_core.envs.interop.jaxmarl_agents import by_agent
from jaxmarl_core.envs.interop.jaxmarl_endings import Transition, truly_ended
from jaxmarl_core.registry import make_environment
from jaxmarl_core.spaces import Box

pytest.importorskip("jaxmarl")
FAST = ("MPE_simple_spread_v3", "switch_riddle", "coin_game")
SLOW = (
    "MPE_simple_v3", "MPE_simple_tag_v3", "MPE_simple_world_comm_v3", "MPE_simple_crypto_v3",
    "MPE_simple_speaker_listener_v4", "MPE_simple_push_v3", "MPE_simple_adversary_v3",
    "MPE_simple_reference_v3", "MPE_simple_facmac_v1", "SMAX", "HeuristicEnemySMAX", "storm_2p",
    "storm_np", "hanabi", "overcooked", "overcooked_v2", "jaxnav", "hopper_3x1",
)  # fmt: skip
ALL = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def flat(tree):
    """Returns all numbers of a tree as one vector, whatever their kind."""
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(tree)])


@pytest.mark.fast("coin_game", "switch_riddle")
@pytest.mark.filterwarnings("ignore:max_dist_to_goal:UserWarning")  # JaxNav of its own defaults
@pytest.mark.filterwarnings("ignore:scatter inputs:FutureWarning")  # and of its own scatters
@pytest.mark.filterwarnings("ignore:Accessing:DeprecationWarning")  # MABrax, through mjx
@pytest.mark.parametrize("name", ALL)
def test_steps_are_those_of_jaxmarl(name):
    # Another program may round another way; JaxNav's rays are the one place where that shows.
    error = 1e-6 if name == "jaxnav" else 0.0
    same = lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=error, atol=error)
    settings = {"scenario": "3m"} if "SMAX" in name else {}
    env = jaxmarl(name, settings=settings)
    world, agents = env.world, env.world.agents
    reset, step, theirs = jax.jit(env.reset), jax.jit(env.step), jax.jit(world.step_env)
    key = jax.random.key(0)
    state, timestep = reset(key)
    seen, inner = jax.jit(world.reset)(key)
    for t in range(4):
        for group, members in zip(env.agent_groups.names, env.agent_groups.agents):
            for i, agent in enumerate(members):
                row = jax.tree.map(lambda x, i=i: x[i], timestep.observation[group])
                same(flat(row), flat(by_agent(seen, agents)[agent]))
        same(flat(state.inner), flat(inner))

        key = jax.random.fold_in(jax.random.key(1), t)
        chosen = {}
        for group in env.agent_groups.names:
            kind, size = env.groups[group].action, env.groups[group].size
            rows = [kind.sample(each) for each in jax.random.split(key, size)]
            chosen[group] = jnp.stack(rows)
        spoken = env.agent_groups.actions_by_agent(chosen)
        state, timestep = step(key, state, chosen)
        seen, inner, reward, dones, _ = theirs(key, inner, spoken)
        for group, members in zip(env.agent_groups.names, env.agent_groups.agents):
            paid = [by_agent(reward, agents)[agent] for agent in members]
            same(timestep.reward[group], np.float32(paid))
        assert bool(timestep.last) == bool(dones["__all__"])


def test_the_riddle_ends_when_told_and_is_cut_off_else():
    env = jaxmarl("switch_riddle")
    step = jax.jit(env.step)
    state, _ = env.reset(jax.random.key(0))
    for told in (False, True):
        last_but_one = state.replace(inner=state.inner.replace(step=env.world.max_steps - 1))
        tell = env.world.game_actions["TELL"] if told else env.world.game_actions["NOTHING"]
        actions = {"agent": jnp.full(3, tell, jnp.int32)}
        _, timestep = step(jax.random.key(1), last_but_one, actions)
        assert timestep.last
        np.testing.assert_array_equal(timestep.discount["agent"], [1.0 - told] * 3)


def test_particles_are_only_cut_off():
    env = jaxmarl("MPE_simple_v3", settings={"max_steps": 2})
    step = jax.jit(env.step)
    state, timestep = env.reset(jax.random.key(0))
    while not timestep.last:
        still = {"agent": jnp.zeros(1, jnp.int32)}
        state, timestep = step(jax.random.key(1), state, still)
    # JaxMARL looks at the clock before it advances: one step more than max_steps
    assert state.inner.step == 3
    np.testing.assert_array_equal(timestep.discount["agent"], [1.0])


class Marathon:
    """A world in JaxMARL's manner where runner i gives up in step i + 1, for ever unknown to us."""

    agents = ("runner_0", "runner_1", "runner_2")

    def observation_space(self, agent):
        return SimpleNamespace()

    def action_space(self, agent):
        return type("Discrete", (), {"n": 2})()

    def _seen(self, time):
        return dict.fromkeys(self.agents, jnp.full(1, time, jnp.float32))

    def reset(self, key):
        return self._seen(0), jnp.int32(0)

    def step_env(self, key, state, actions):
        time = state + 1
        dones = {agent: time > i for i, agent in enumerate(self.agents)}
        paid = dict.fromkeys(self.agents, jnp.float32(1))
        return self._seen(time), time, paid, dones | {"__all__": time >= 3}, {}


def test_agents_drop_out_one_by_one():
    env = adapted(Marathon())
    state, timestep = env.reset(jax.random.key(0))
    alive, discount = [], []
    while not timestep.last:
        run = {"runner": jnp.zeros(3, jnp.int32)}
        state, timestep = env.step(jax.random.key(0), state, run)
        alive.append(timestep.alive["runner"].tolist())
        discount.append(timestep.discount["runner"].tolist())
    # the last one's end is the end of all: it was there, and went no further
    assert alive == [[False, True, True], [False, False, True], [False, False, True]]
    assert discount == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]


def test_who_arrived_or_crashed_ended_the_others_were_cut_off():
    after = SimpleNamespace(
        goal_reached=jnp.array([True, False, False]), move_term=jnp.array([False, True, False])
    )
    world = type("JaxNav", (), {})()
    ended = truly_ended(Transition(world, None, None, after))
    np.testing.assert_array_equal(ended, [True, True, False])


def test_adversaries_play_against_the_rest():
    env = jaxmarl("MPE_simple_tag_v3")
    assert {name: (g.size, g.team) for name, g in env.groups.items()} == {
        "adversary": (3, 0),
        "agent": (1, 1),
    }
    together = jaxmarl("MPE_simple_tag_v3", teams=("adversary+agent",))
    assert {group.team for group in together.groups.values()} == {0}


def test_one_kind_may_be_split_into_teams():
    env = jaxmarl("MPE_simple_spread_v3", teams=("agent_0+agent_2", "agent_1"))
    assert env.agent_groups.names == ("agent_0", "agent_1")
    assert env.agent_groups.agents == (("agent_0", "agent_2"), ("agent_1",))
    assert [group.team for group in env.groups.values()] == [0, 1]


@pytest.mark.slow
def test_masks_are_the_legal_moves():
    env = jaxmarl("hanabi")
    state, timestep = env.reset(jax.random.key(0))
    legal = env.world.get_legal_moves(state.inner)
    for i, agent in enumerate(env.world.agents):
        np.testing.assert_array_equal(timestep.action_mask["agent"][i], legal[agent] > 0)


@pytest.mark.slow
def test_shaping_adds_what_the_world_offers():
    env = jaxmarl("overcooked_v2", shaping=2.0)
    shaped = {agent: jnp.float32(3) for agent in env.world.agents}
    paid = {agent: jnp.float32(1) for agent in env.world.agents}
    reward = env._reward(paid, {"shaped_reward": shaped})
    np.testing.assert_array_equal(reward["agent"], [7.0, 7.0])


@pytest.mark.filterwarnings("ignore:scatter inputs:FutureWarning")
@pytest.mark.filterwarnings("ignore:max_dist_to_goal:UserWarning")
@pytest.mark.slow
def test_boxes_with_several_bounds_are_scaled():
    env = jaxmarl("jaxnav")
    theirs = env.world.action_space("agent_0")
    assert env.groups["agent"].action == Box((2,), -1.0, 1.0)
    for ours, bound in ((-1.0, theirs.low), (1.0, theirs.high)):
        spoken = env.agent_groups.actions_by_agent({"agent": jnp.full((2, 2), ours)})
        np.testing.assert_allclose(spoken["agent_1"], bound, rtol=1e-6)


def test_settings_come_from_a_spec_file():
    env = make_environment("jaxmarl", settings='{"num_agents": 2, "num_landmarks": 2}')
    assert env.groups["agent"].size == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "MPE_simple_spred_v3"}, "name: .*did you mean 'MPE_simple_spread_v3'"),
        ({"settings": {"num_agent": 5}}, "settings: .*did you mean 'num_agents'"),
        ({"name": "coin_game", "settings": {"steps": 5}}, "settings: expected what coin_game"),
        ({"name": "SMAX", "settings": {"scenario": "3n"}}, "scenario: .*did you mean '3m'"),
        ({"teams": ("agent_0", "agent_1")}, "teams: expected agent_2 on one team, got 0"),
        ({"teams": ("agent", "agent_1")}, "teams: expected agent_1 on one team, got 2"),
        ({"teams": ("agents",)}, "teams: .*did you mean 'agent'"),
        ({"shaping": 1.0}, "shaping: expected 0 in MPE_simple_spread_v3"),
    ],
)
def test_mistakes_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        jaxmarl(**options)


@pytest.mark.slow
def test_a_world_at_odds_with_its_own_declaration_is_refused():
    with pytest.raises(ValueError, match="name: expected a world that observes"):
        jaxmarl("storm")
