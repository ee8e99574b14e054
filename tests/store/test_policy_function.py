"""A policy as a function of what it reads, here and in other formats: the same answers."""

import subprocess
import sys
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, DyingAgents, MixedGroups

from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.store.policy_function import (
    PolicyFunction,
    differences,
    observed,
    policy_function,
)
from jaxmarl_core.store.policy_onnx import draws, onnx_inputs, run_onnx, to_onnx, without_key
from jaxmarl_core.store.policy_stablehlo import to_stablehlo
from jaxmarl_core.types import Policy

SMALL = {"num_envs": 2, "rollout_length": 4, "hidden": (8,)}
TINY = SMALL | {"num_minibatches": 1}
SEQUENCES = SMALL | {"capacity": 4, "batch_size": 2}
SKIRMISH = lambda: battle(map_size=12, num_red=4, num_blue=3, max_steps=6, damage=5.0)
CHICKEN = lambda: matrix_game("chicken", num_rounds=3)
IMAGES = {"rollout_length": 4, "buffer_length": 8, "channels": (3,), "hidden": (8,)}
CASES = {  # name -> (algorithm, environment, config, what its function reads beside observations)
    "ippo": ("ippo", lambda: DyingAgents(), TINY, {"action_mask", "alive"}),
    "mappo with memory": (
        "mappo",
        lambda: DyingAgents(),
        TINY | {"memory_size": 3, "share": "none"},
        {"action_mask", "alive", "memory"},
    ),
    "happo, some continuous": (
        "happo", lambda: MixedGroups(), TINY, {"action_mask", "alive"}
    ),
    "qmix with memory": (
        "qmix",
        lambda: DyingAgents(),
        SEQUENCES | {"memory_size": 3, "last_action": True},
        {"action_mask", "alive", "memory"},
    ),
    "mfq on images": ("mfq", SKIRMISH, IMAGES, {"mean_action"}),
    "minimax_q, which draws": ("minimax_q", CHICKEN, {}, {"alive", "key"}),
}  # fmt: skip
FAST = ("mappo with memory", "minimax_q, which draws")
NUM = 1000


class Case(NamedTuple):
    env: Any
    policy: Policy
    params: Any
    function: PolicyFunction
    inputs: dict
    ours: dict  # what the policy itself answers, one environment after another
    reads: set


def shaken(key, params, draw):
    """The parameters with noise, so that answers differ: nothing was learnt, but as if it were."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    noise = lambda key, x: x + draw(key, x.shape)
    floats = [noise(k, x) if x.dtype == jnp.float32 else x for k, x in zip(keys, leaves)]
    return jax.tree.unflatten(structure, floats)


def marked(name):
    return pytest.param(name, marks=() if name in FAST else pytest.mark.slow)


@pytest.fixture(scope="module", params=map(marked, CASES), ids=list(CASES))
def case(request):
    name, build, config, reads = CASES[request.param]
    env = build()
    algorithm = make_algorithm(name, env, **config)
    state = jax.jit(algorithm.init)(jax.random.key(0), algorithm.hparams)
    draw = jax.random.uniform if "key" in reads else jax.random.normal  # of probabilities, weights
    params = shaken(jax.random.key(2), state.params, draw)
    policy = algorithm.policy
    function = policy_function(policy, params, env)
    inputs = observed(policy, params, env, function, jax.random.key(2), NUM)
    return Case(env, policy, params, function, inputs, answers(env, policy, params, inputs), reads)


def answers(env, policy, params, inputs):
    """The policy's own answers, its time steps and memories put together by hand."""
    timestep = jax.jit(env.reset)(jax.random.key(0))[1]
    parts = {field: dict(getattr(timestep, field)) for field in
             ("observation", "action_mask", "alive", "mean_action")}  # fmt: skip

    def put(tree, prefix, arrays):
        name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
        one = lambda path, leaf: arrays.get(f"{prefix}.{name(path)}", leaf)
        return jax.tree_util.tree_map_with_path(one, tree)

    def one(arrays):
        told = {field: put(tree, field, arrays) for field, tree in parts.items()}
        memory = put(policy.memory(), "memory", arrays)
        key = jax.random.wrap_key_data(arrays["key"]) if "key" in arrays else jax.random.key(9)
        actions, memory = policy.greedy(params, key, replace(timestep, **told), memory)
        return actions, memory

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(inputs))


def with_draws(case):
    drawn = jax.jit(lambda arrays: draws(case.function, arrays))(case.inputs)
    return case.inputs | jax.tree.map(np.asarray, drawn)


def assert_same_answers(case, found):
    actions, memory = case.ours
    for name, expected in actions.items():
        if np.issubdtype(expected.dtype, np.integer):
            np.testing.assert_array_equal(found[f"action.{name}"], expected)
        else:
            np.testing.assert_allclose(found[f"action.{name}"], expected, atol=1e-5)
    carried = [x for name, x in sorted(found.items()) if name.startswith("next_memory")]
    expected = jax.tree.leaves(memory)
    assert sorted(x.shape for x in carried) == sorted(x.shape for x in expected)
    for x in expected:  # by their shapes: no two of a case's memories have the same
        (same,) = [y for y in carried if y.shape == x.shape]
        np.testing.assert_allclose(same, x, atol=1e-5)


def test_reads_what_matters_and_nothing_else(case):
    kinds = {name.split(".")[0] for name in case.function.inputs}
    only_one = all(g.observation == Discrete(1) for g in case.env.groups.values())
    assert kinds == case.reads | (set() if only_one else {"observation"})


def test_the_steps_tell_different_things(case):
    """Else equal answers would say little."""
    for name, x in case.inputs.items():
        assert len(x) == NUM
        same = (
            "action_mask.choosers",
            "alive.aimer",
            "alive.choosers",
            "alive.player",
        )  # no deaths
        assert (x != x[:1]).any() or name.startswith(same), name
    actions, _ = case.ours
    assert any((x != x[:1]).any() for x in actions.values())


def test_answers_as_the_policy_does(case):
    found = jax.tree.map(np.asarray, jax.jit(case.function.call)(case.inputs))
    assert found.keys() == case.function.outputs.keys()
    assert_same_answers(case, found)


def test_memory_is_what_an_episode_begins_with(case):
    leaves = jax.tree.leaves(case.policy.memory())
    assert len(case.function.memory) == len(leaves)
    for name, x in case.function.memory.items():
        assert case.function.inputs[name].shape == np.shape(x)


def test_stablehlo_answers_alike_for_any_number_of_environments(case):
    program = jax.export.deserialize(bytearray(to_stablehlo(case.function)))
    assert set(program.platforms) == {"cpu", "cuda", "tpu"}
    assert_same_answers(case, jax.tree.map(np.asarray, program.call(case.inputs)))
    few = program.call({name: x[:3] for name, x in case.inputs.items()})
    assert {len(x) for x in few.values()} == {3}


def test_onnx_answers_alike_for_any_number_of_environments(case):
    pytest.importorskip("jax2onnx")
    jaxs_own = dict(vars(jnp))
    model, outputs = to_onnx(case.function), list(case.function.outputs)
    assert all(vars(jnp)[name] is function for name, function in jaxs_own.items())
    inputs = with_draws(case)
    assert_same_answers(case, run_onnx(model, inputs, outputs))
    assert onnx_inputs(case.function).keys() <= inputs.keys()
    few = run_onnx(model, {name: x[:3] for name, x in inputs.items()}, outputs)
    assert {len(x) for x in few.values()} == {3}


def test_uniform_numbers_stand_in_for_the_key(case):
    inputs = with_draws(case)
    drawn = {name: x for name, x in inputs.items() if name.startswith("uniform.")}
    assert bool(drawn) == ("key" in case.function.inputs)
    for x in drawn.values():
        assert ((x >= 0) & (x < 1)).all() and abs(np.mean(x) - 0.5) < 0.05
    inputs.pop("key", None)
    found = jax.jit(lambda arrays: without_key(case.function, arrays))(inputs)
    assert_same_answers(case, jax.tree.map(np.asarray, found))


def drawing(draw):
    """A policy that does nothing but draw."""
    act = lambda params, key, timestep, memory: ({"agents": draw(key)}, memory)
    return policy_function(Policy(lambda: (), act, act), (), ConstantReward())


def test_a_normal_draw_is_made_of_a_uniform_one():
    function = drawing(lambda key: jax.random.normal(key, (1,)))
    inputs = {"key": jax.random.key_data(jax.random.split(jax.random.key(0), 50))}
    drawn = draws(function, inputs)
    assert {x.shape for x in drawn.values()} == {(50, 1)}
    expected = jax.vmap(lambda key: jax.random.normal(jax.random.wrap_key_data(key), (1,)))
    found = without_key(function, drawn)["action.agents"]
    np.testing.assert_allclose(found, expected(inputs["key"]), atol=1e-4)


def test_other_random_numbers_are_refused():
    function = drawing(lambda key: jax.random.bits(key, (1,)))
    with pytest.raises(ValueError, match="onnx: expected a policy that draws uniform numbers"):
        without_key(function, {"uniform.0": np.zeros((1, 1), np.float32)})


def test_differences_are_the_largest():
    ours = {"a": np.array([1.0, 2.0]), "b": np.array([True, False])}
    theirs = {"a": np.array([1.0, 2.5]), "b": np.array([True, False])}
    assert differences(ours, theirs) == {"a": 0.5, "b": 0.0}


def test_stablehlo_is_called_without_this_library(tmp_path):
    env = DyingAgents()
    algorithm = make_algorithm("ippo", env, **TINY)
    params = jax.jit(algorithm.init)(jax.random.key(0), algorithm.hparams).params
    function = policy_function(algorithm.policy, params, env)
    (tmp_path / "policy.stablehlo").write_bytes(to_stablehlo(function))
    inputs = observed(algorithm.policy, params, env, function, jax.random.key(2), 5)
    np.savez(tmp_path / "inputs.npz", **inputs)
    code = (
        "import sys, jax.export, numpy as np\n"
        "call = jax.export.deserialize(bytearray(open('policy.stablehlo', 'rb').read())).call\n"
        "print(np.asarray(call(dict(np.load('inputs.npz')))['action.agents']).tolist())\n"
        "assert not any('jaxmarl' in name or 'flax' in name for name in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    expected = jax.jit(function.call)(inputs)["action.agents"]
    assert said.strip() == str(np.asarray(expected).tolist())
