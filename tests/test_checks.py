"""The checks themselves: each finds a world, or an algorithm, that breaks just its promise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import ConstantReward, DyingAgents, OneBitMemory

from jaxmarl_core.checks.algorithm import check_algorithm
from jaxmarl_core.checks.environment import CHECKS, check_environment, explained
from jaxmarl_core.cli import main
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Algorithm, Group, Policy, StateEnvironment


@struct.dataclass
class Broken(ConstantReward):
    """A world that says something else than it should, by what it is told to break."""

    breaks: str = struct.field(pytree_node=False, default="")

    def observe(self, state):
        shown = ConstantReward.observe(self, state)
        one = jnp.ones(self.num_agents)
        started = state.step > 0
        changes = {
            "dtype": {"reward": {"agents": shown.reward["agents"].astype(jnp.int32)}},
            "space": {"observation": {"agents": jnp.full(self.num_agents, 3, jnp.int32)}},
            "discount": {"discount": {"agents": 0.5 * one}},
            "missing": {"reward": {}},
            "mask": {"action_mask": {"agents": jnp.zeros((self.num_agents, 2), bool)}},
            "early": {"reward": {"agents": one}},
            "endless": {"last": jnp.bool_(False)},
            "over": {"discount": {"agents": jnp.where(started, 0.0, one)}},
            "common": {"reward": {"agents": started * jnp.arange(self.num_agents, dtype="f4")}},
        }
        return dataclasses.replace(shown, **changes.get(self.breaks, {}))


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        ("dtype", r'reward of group "agents" at step 0 should be float32\[2\], and is int32\[2\]'),
        ("space", r'observation of group "agents" at step 0 is outside of Discrete'),
        ("discount", "discount .* should be 0 or 1"),
        ("missing", "reward .* is missing"),
        ("mask", "leaves somebody who decides no legal action"),
        ("early", "should be 0 on reset"),
        ("endless", "did not end in 20 steps"),
        ("over", "decides at step 1 with a discount of 0"),
        ("common", "Team 0 is said to have a common reward and is told several"),
    ],
)
def test_each_broken_promise_is_a_sentence(breaks, sentence):
    import re

    found = check_environment(Broken(2, 3, breaks=breaks), max_steps=20)
    assert any(re.search(sentence, each) for each in found), found


@struct.dataclass
class PaysTheDead(DyingAgents):
    """The dead are paid, though a discount of 0 said that no more would come."""

    def advance(self, key, state, actions):
        after = DyingAgents.advance(self, key, state, actions)
        return after.replace(reward=jnp.where(after.step > 1, 1.0, after.reward))


@struct.dataclass
class HeedsTheDead(DyingAgents):
    """What the dead do is what the living are paid."""

    def advance(self, key, state, actions):
        after = DyingAgents.advance(self, key, state, actions)
        alive = self._alive(after.step - 1)
        told = jnp.where(alive, 0, actions["agents"]).sum()
        return after.replace(reward=jnp.where(alive, told.astype(jnp.float32), 0.0))


@struct.dataclass
class Grows(ConstantReward):
    """Its state changes its dtype in the first step."""

    def advance(self, key, state, actions):
        return state.replace(step=(state.step + 1).astype(jnp.float32))


def test_deaths_and_structure():
    assert check_environment(DyingAgents()) == []
    (paid,) = check_environment(PaysTheDead())
    assert paid == 'Group "agents" is paid at step 2, after a discount of 0.'
    (heeded,) = check_environment(HeedsTheDead())
    assert heeded.startswith("What the dead do at step 1 changes ['reward']['agents']")
    found = check_environment(Grows())
    assert any("was int32[] and became float32[] after a step" in each for each in found)


def test_hidden_state_and_pictures():
    class Counts(StateEnvironment):  # a class that keeps something to itself
        calls = 0
        inner = ConstantReward(1, 3)
        groups = {"agents": Group(1, Discrete(1), Discrete(2))}  # noqa: RUF012 - a test's world
        initial = inner.initial
        advance = inner.advance

        def observe(self, state):
            return self.inner.observe(state)

        def render(self, state):
            return jnp.zeros((2, 2, 3), jnp.uint8)

    assert check_environment(Counts()) == [
        "render draws the first and the last state of an episode alike."
    ]


def test_what_is_no_environment_is_said_at_once():
    assert check_environment(3) == ["int has no groups and no reset and no step; see types.Environment."]  # fmt: skip # noqa: E501

    class Raises(ConstantReward):
        def observe(self, state):
            raise RuntimeError("not yet\nwritten")

    (found,) = check_environment(Raises())
    assert found == "A random episode cannot be played: RuntimeError: not yet"


def test_every_check_says_what_it_checks():
    assert len(list(explained())) == len(CHECKS)
    assert all(text.endswith(".") for _, text in explained())


# ---- algorithms


@pytest.fixture(scope="module")
def learner():
    env = OneBitMemory(2)
    return make_algorithm("q_learning", env, rollout_length=4), env


def test_a_good_algorithm_has_nothing_to_complain_of(learner):
    assert check_algorithm(*learner) == []


def broken(algorithm: Algorithm, how: str) -> Algorithm:
    """The algorithm with one of its promises broken."""
    update, calls = algorithm.update, []

    def other(key, state, hp, index):
        if how == "branches" and hp.gamma > 0.5:
            return update(key, state, hp, index)
        if how == "shapes":
            jnp.zeros(int(hp.gamma * 10))
        after, metrics = update(key, state, hp, index)
        if how == "metrics":
            metrics |= {"many": jnp.zeros(3)}
        if how == "nan":
            metrics |= {"loss": jnp.float32(np.nan)}
        if how == "keeps":
            calls.append(1)
            metrics |= {"calls": jnp.float32(len(calls))}
        return (state if how == "idle" else after), metrics

    def outside(params, key, timestep, memory):
        actions, memory = algorithm.policy.act(params, key, timestep, memory)
        return jax.tree.map(lambda x: x + 9, actions), memory

    policy = Policy(lambda: (), outside, outside) if how == "acts" else algorithm.policy
    steps = 0 if how == "steps" else algorithm.env_steps
    return algorithm._replace(update=other, policy=policy, env_steps=steps)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("branches", "asks in Python whether a traced number holds"),
        ("shapes", "needs the value of a number while it is traced"),
        ("metrics", r"The metric many should be float32[], and is float32[3]"),
        ("steps", "env_steps should be a number of steps"),
        ("acts", 'policy.act: the action of group "agents" is outside of Discrete'),
        pytest.param("nan", "The metric loss is no number after 0 updates"),
        pytest.param("idle", "4 updates changed no parameter"),
    ],
)
def test_each_promise_an_algorithm_breaks_is_a_sentence(learner, how, sentence):
    algorithm, env = learner
    found = check_algorithm(broken(algorithm, how), env)
    assert any(sentence in each for each in found), found


def test_the_command_says_it_in_sentences(capsys):
    main(["check", "matrix_game"])
    assert "matrix_game: nothing to complain of" in capsys.readouterr().out
    for wrong in (["check", "q_learning"], ["check"], ["check", "a", "b", "c"]):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 2
    assert "and an environment to train it in" in capsys.readouterr().err
