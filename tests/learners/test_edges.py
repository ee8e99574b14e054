"""Slopes of what learners are made of, at their edges, against finite differences."""

import inspect
from itertools import pairwise

import edges
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import Edge

from jaxmarl_core.learners import (
    mixers,
    networks,
    observation_normalisation,
    parameter_sharing,
    parted,
    replay,
    value_normalisation,
)
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.learners.value_normalisation import Scale
from jaxmarl_core.spaces import Box, Discrete

NAN = np.nan
KEY = jax.random.key(0)
ONE_DEAD = np.array([True, True, False])
STATE = [0.3, -0.2]
FEATURES, ACTIONS = [[[1.0, 0.0], [0.5, 2.0]]], [np.eye(2)]
STACKS = [AgentStack("all", {"all": 3}, False, 0, (0, 0, 1), Box((1,)), Discrete(2), False)]


def of_network(network):
    """A function of inputs, its weights drawn from their shapes, in the inputs' precision."""

    def function(*inputs):
        params = network.init(KEY, *inputs)
        return network.apply(jax.tree.map(lambda x: x.astype(float), params), *inputs)

    return function


def unrolled(reset):
    reset = np.array(reset)[:, None]
    return lambda kernel, memory, x: networks.unroll_gru(
        kernel, jnp.zeros(2, kernel.dtype), memory, x, reset
    )


def paid(reward, discount):
    return parameter_sharing.pay_while_it_comes({"a": reward}, {"a": discount})["a"]


KERNEL = np.linspace(-1, 1, 12).reshape(2, 6)
SLOPES = [
    Edge("additive", lambda q: mixers.additive(q, ONE_DEAD), ([1, 2, NAN],)),
    Edge(
        "Monotone",
        lambda q, s: of_network(mixers.Monotone(3, 2))(q, ONE_DEAD, s),
        ([1, 2, NAN], STATE),
    ),
    Edge(
        "Codes",
        lambda x: of_network(mixers.Codes(3))([x], ACTIONS, np.array([True, False])),
        (FEATURES[0],),
    ),
    Edge(
        "JointValue",
        lambda x, s: of_network(mixers.JointValue(3))([x], ACTIONS, np.array([True, False]), s),
        (FEATURES[0], STATE),
    ),
    Edge(
        "CounterfactualValues",
        lambda x, s: of_network(mixers.CounterfactualValues(3))(
            [x], ACTIONS, np.array([True, False]), s
        ),
        (FEATURES[0], STATE),
    ),
    Edge("MLP", of_network(networks.MLP((3, 2), layer_norm=True)), ([0, 0, 1],)),
    Edge("head", of_network(networks.head(2)), ([0, 0, 1],)),
    Edge("patches", lambda x: networks.patches(x, 2), (np.zeros((3, 3, 1)),)),
    Edge("GRU", of_network(networks.GRU(2)), ([0, 0], [0, 1])),
    Edge("unroll_gru", unrolled([False, True]), (KERNEL, [0, 0], np.ones((2, 6))), forward=False),
    Edge(
        "updated: some do not count",
        lambda x: value_normalisation.updated(Scale(0.5, 0.2, 0.9), x, ONE_DEAD, 0.1),
        ([1, 2, NAN],),
    ),
    Edge(
        "updated: nothing varies",
        lambda x: value_normalisation.updated(Scale(0.5, 0.2, 0.9), x, ~ONE_DEAD, 0.1),
        ([1, 2, 3],),
    ),
    Edge(
        "normalised: units without a deviation",
        lambda m, x: value_normalisation.normalised(Scale(m, 0.0, 0.9), x * 1e-4),
        (1, [1, 2]),
    ),
    Edge(
        "denormalised",
        lambda v, x: value_normalisation.denormalised(Scale(1.0, v, 0.9), x),
        (0.5, [1, 2]),
    ),
    Edge(
        "rescaled",
        lambda w, v: value_normalisation.rescaled(
            {"kernel": w, "bias": w[0]}, Scale(0.0, 1.0, 0.5), Scale(1.0, v, 0.9)
        ),
        ([[1, 0], [0, 2]], 0.5),
    ),
    Edge(
        "moments",
        lambda m, v: value_normalisation.moments(Scale(m, v, 0.9)),
        (1, 0.5),
    ),
    Edge(
        "normalised_observation",
        lambda x: observation_normalisation.normalised_observation(
            Box((2,)), observation_normalisation.Statistics(np.ones(2), np.ones(2), 3.0), x
        ),
        ([1, 50],),
    ),
    Edge(
        "updated_statistics: one is no number",
        lambda x: jax.tree.leaves(
            observation_normalisation.updated_statistics(
                Box((1,)),
                observation_normalisation.Statistics(np.ones(1), np.zeros(1), 3.0),
                x,
                np.array([True, False, True]),
            )
        )[:2],
        ([[1], [NAN], [NAN]],),
    ),
    Edge("where_alive", lambda x: parameter_sharing.where_alive(ONE_DEAD, x), ([1, 2, NAN],)),
    Edge(
        "pay_while_it_comes: what stands behind the end is not read",
        lambda r: paid(r, np.array([1.0, 0, 0])),
        ([1, 2, NAN],),
    ),
    Edge(
        "values_of_teams_for_the_dead",
        lambda v: parameter_sharing.values_of_teams_for_the_dead(v, ONE_DEAD, STACKS),
        ([1, 2, NAN],),
    ),
    Edge(
        "values_of_teams_for_the_dead: a mate is left",
        lambda v: parameter_sharing.values_of_teams_for_the_dead(v, ~ONE_DEAD, STACKS),
        ([1, NAN, 3],),
    ),
    Edge(
        "sample_prioritised: importance",
        lambda b: replay.sample_prioritised(KEY, jnp.array([0.0, 1.0, 3.0]), 4, 0.5, b)[1],
        (0,),
    ),
]
SLOW = ("JointValue", "CounterfactualValues", "Codes", "MLP", "Monotone")  # to compile


@pytest.mark.parametrize(
    "edge",
    [pytest.param(edge, marks=pytest.mark.slow if edge.name in SLOW else ()) for edge in SLOPES],
    ids=lambda edge: edge.name,
)
def test_slopes(edge):
    edges.check(edge)


def test_of_a_joint_actions_advantage_no_slope_flows_where_it_is_weighted():
    """Duplex: dQ/dq_i = w_i, whatever the weights of what is missed are, as the paper's program."""
    q, best, actions = np.array([1.0, 2]), np.array([3.0, 3]), np.array([1.0, 0, 0, 1])
    alive, state, network = np.array([True, True]), np.array(STATE), mixers.Duplex(2, 4)
    params = network.init(KEY, q, best, actions, alive, state)
    slope = jax.grad(lambda q: network.apply(params, q, best, actions, alive, state))(q)
    ends = [network.apply(params, x, x, actions, alive, state) for x in (q, q + np.array([1, 0]))]
    (gain,) = (after - before for before, after in pairwise(ends))  # of V_0 = w_0 q_0 + b_0
    np.testing.assert_allclose(slope[0], gain, rtol=1e-5)


def test_a_grus_unrolling_says_that_it_has_no_forward_mode():
    args = (jnp.asarray(KERNEL), jnp.zeros(2), jnp.ones((2, 6)))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(unrolled([False, True]), args, args)


# what makes, describes, stores or draws, or is a part of what stands in the table
WITHOUT_SLOPE = {
    *("apply", "scaled_normal", "merge_leading_axes", "initial_memory", "from_integers"),
    *("Duplex", "CNN", "Encoder", "Torso", "PartedVector", "PartedDense", "parted_vector"),
    *("Statistics", "initial_statistics", "Scale", "initial_scale"),
    *("AgentStack", "agent_stacks", "stack_groups", "split_groups", "observe", "legal_actions"),
    *(
        "state_space",
        "num_bytes",
        "available_bytes",
        "require_memory",
        "only_to_play",
        "only_plays",
        "empty_buffer",
    ),
    *("write_block", "block_start", "num_stored", "write_entry", "sample_transitions"),
    *("sample_sequences", "sample_uniform", "empty_priorities", "prioritise_newest"),
    *("gather", "gather_sequences", "learning_has_started"),
}


@pytest.mark.parametrize(
    "module",
    [
        mixers,
        networks,
        observation_normalisation,
        parameter_sharing,
        parted,
        replay,
        value_normalisation,
    ],
)
def test_everything_public_has_its_row(module):
    rows = {edge.name.split(":")[0] for edge in SLOPES} | WITHOUT_SLOPE
    public = {
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert public <= rows, public - rows
