"""What every learner promises: one program however numbers vary, exact resumption, honest runs.

A new entry of ALGORITHMS needs a line in `FITTING`; all that follows then applies to it.
"""

import dataclasses
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import DyingAgents, MixedGroups

from jaxmarl_core import hparams as hp
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.envs import battle, matrix_game, torus_coordination, two_step_game
from jaxmarl_core.recipes import option_kinds
from jaxmarl_core.registry import config_type, make_algorithm
from jaxmarl_core.sweeps.batch import pad, pairs, run_mesh, sharded, sweep
from jaxmarl_core.train import Schedule, make_train

# Episodes of 3 steps take 4 rows, so that one ends in every rollout of 4: no metric is ever NaN.
SKIRMISH = lambda: battle(map_size=12, num_red=4, num_blue=4, max_steps=3, damage=5.0)
MEMORY_GAME = lambda: matrix_game("coordination", num_rounds=3, memory=True)
TINY_PPO = {
    "num_envs": 2,
    "rollout_length": 4,
    "num_epochs": 2,
    "num_minibatches": 2,
    "hidden": (4,),
}
TINY_A2C = {"num_envs": 2, "rollout_length": 4, "hidden": (4,)}
TINY_Q = {
    "rollout_length": 4,
    "buffer_length": 8,
    "batch_size": 6,
    "num_gradient_steps": 2,
    "channels": (2,),
    "hidden": (4,),
    "head_hidden": (4,),
}
TINY_SEQUENCES = {
    "num_envs": 2,
    "rollout_length": 4,
    "capacity": 4,
    "batch_size": 3,
    "hidden": (4,),
    "memory_size": 0,
}
PROGRAM_OF_THE_PAPER = {
    "exploration": "greedy",
    "target": "double",
    "ends": "mask",
    "self_play": "lagged",
}

# algorithm -> name of the case -> (environment builder, config)
FITTING = {
    "ac": {"deaths": (DyingAgents, TINY_Q)},
    "il": {"battle, lagged": (SKIRMISH, TINY_Q | PROGRAM_OF_THE_PAPER)},
    "mfac": {
        "battle, lagged": (
            SKIRMISH,
            TINY_Q | {"mean_action_hidden": (4,), "actor_mean_action": True, "self_play": "lagged"},
        ),
    },
    "ippo": {
        "deaths": (DyingAgents, TINY_PPO),
        "unshared": (lambda: MixedGroups(3), TINY_PPO | {"share": "none"}),
        "recurrent": (MEMORY_GAME, TINY_PPO | {"memory_size": 3, "chunk_length": 2}),
    },
    "mappo": {
        "battle": (SKIRMISH, TINY_PPO),
        "recurrent": (
            MEMORY_GAME,
            TINY_PPO | {"memory_size": 3, "critic": "agent", "normalise_value": "popart"},
        ),
    },
    "happo": {
        "mixed": (lambda: MixedGroups(3), TINY_PPO),
        "recurrent": (MEMORY_GAME, TINY_PPO | {"memory_size": 3}),
    },
    "hatrpo": {
        "mixed": (lambda: MixedGroups(3), TINY_PPO | {"normalise_observation": True}),
    },
    "haa2c": {"mixed": (lambda: MixedGroups(3), TINY_A2C)},
    "ia2c": {"mixed": (lambda: MixedGroups(3), TINY_A2C)},
    "maa2c": {
        "unshared": (MEMORY_GAME, TINY_A2C | {"share": "none", "normalise_value": "running"})
    },
    "coma": {
        "deaths": (DyingAgents, TINY_A2C),
        "recurrent": (MEMORY_GAME, TINY_A2C | {"memory_size": 3}),
    },
    "linear_q": {
        "features": (lambda: two_step_game(observation="features"), {"rollout_length": 4}),
    },
    "mfq": {"battle": (SKIRMISH, TINY_Q | {"mean_action": "previous", "mean_action_hidden": (4,)})},
    "distributed_q": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "hysteretic_q": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "lenient_q": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "nscp": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "oal": {"game": (MEMORY_GAME, {"rollout_length": 4, "sample": 1})},
    "opponent_modelling_q": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "pd_wolf": {"game": (MEMORY_GAME, {"rollout_length": 4, "start": "random"})},
    "phc": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "q_learning": {"game": (MEMORY_GAME, {"rollout_length": 4, "rate": "visits"})},
    "sarsa": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "tabular_mfq": {
        "torus": (lambda: torus_coordination(max_steps=3), {"rollout_length": 4}),
    },
    "team_q": {"game": (MEMORY_GAME, {"rollout_length": 4})},
    "wolf_phc": {"game": (MEMORY_GAME, {"rollout_length": 4, "start": "random"})},
}
ROUNDS = {"rollout_length": 4}
STAGE = lambda: matrix_game("chicken", num_rounds=3)
FITTING |= {
    name: {"game": (STAGE, ROUNDS)}
    for name in (
        "fictitious_play",
        "fmq",
        "giga",
        "giga_wolf",
        "hyper_q",
        "iga",
        "jal",
        "multiplicative_weights",
        "pd_wolf_iga",
        "regret_matching",
        "regret_matching_plus",
        "replicator",
        "rfmq",
        "smooth_fictitious_play",
        "wolf_iga",
    )
}
FITTING |= {
    name: {"game": (STAGE, ROUNDS)} for name in ("asymmetric_q", "ce_q", "minimax_q", "nash_q")
}
FITTING["friend_or_foe_q"] = {
    "foe": (STAGE, ROUNDS),
    "friends": (STAGE, ROUNDS | {"friends": "all"}),
}
FITTING["exorl"] = {"game": (STAGE, ROUNDS)}
FITTING["awesome"] = {"game": (lambda: matrix_game("tricky", num_rounds=3), ROUNDS)}  # it draws
FITTING["meta_strategy"] = {"game": (lambda: matrix_game("tricky", num_rounds=3), ROUNDS)}
FITTING |= {
    "iql": {
        "prioritised": (
            DyingAgents,
            TINY_SEQUENCES | {"share": "none", "replay": "prioritised", "num_gradient_steps": 2},
        ),
        "no replay": (
            DyingAgents,
            TINY_SEQUENCES | {"replay": "none", "batch_size": 1, "num_gradient_steps": 4},
        ),
    },
    "vdn": {"recurrent": (MEMORY_GAME, TINY_SEQUENCES | {"memory_size": 3, "burn_in": 1})},
    "qmix": {"deaths": (DyingAgents, TINY_SEQUENCES | {"optimiser": "rmsprop", "embed": 3})},
    "qtran": {"deaths": (DyingAgents, TINY_SEQUENCES | {"embed": 3})},
    "qtran_alt": {"game": (MEMORY_GAME, TINY_SEQUENCES | {"embed": 3})},
    "cw_qmix": {"game": (MEMORY_GAME, TINY_SEQUENCES | {"embed": 3})},
    "ow_qmix": {"game": (MEMORY_GAME, TINY_SEQUENCES | {"embed": 3})},
    "qplex": {"game": (MEMORY_GAME, TINY_SEQUENCES | {"embed": 3})},
}
TINY_OFF_POLICY = {
    "num_envs": 2,
    "rollout_length": 4,
    "num_gradient_steps": 2,
    "batch_size": 3,
    "buffer_length": 8,
    "hidden": (4,),
}
FITTING |= {
    "maddpg": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY)},
    "hatd3": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY | {"normalise_reward": True})},
    "hasac": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY)},
    "isac": {"deaths": (DyingAgents, TINY_OFF_POLICY | {"share": "group"})},
    "iddpg": {"deaths": (DyingAgents, TINY_OFF_POLICY | {"gumbel": "relaxed"})},
    "maac": {"deaths": (DyingAgents, TINY_OFF_POLICY | {"num_heads": 2})},
    "maddpg_ensemble": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY | {"num_policies": 2})},
    "maddpg_inferred": {
        "mixed": (
            lambda: MixedGroups(3),
            TINY_OFF_POLICY
            | {"n_step": 2, "exploration": "ornstein_uhlenbeck", "normalise_observation": True},
        ),
    },
    "matd3": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY)},
    "haddpg": {"mixed": (lambda: MixedGroups(3), TINY_OFF_POLICY)},
}
NEVER_DRAWS = {"fictitious_play"}  # same state, same future, whatever the key
READ_AT_START = {"fictitious_play", "smooth_fictitious_play"}  # hparams enter only the first state
MIXED = {  # learners of mixed strategies, which they play when greedy, too
    *("exorl", "linear_q", "oal", "pd_wolf", "pd_wolf_iga"),
    *("fictitious_play", "giga", "giga_wolf", "iga", "multiplicative_weights", "phc"),
    *("regret_matching", "regret_matching_plus", "replicator", "smooth_fictitious_play"),
    *("awesome", "hyper_q", "meta_strategy", "wolf_iga"),  # of matrix games
    *("ce_q", "friend_or_foe_q", "minimax_q", "nash_q"),
    "maddpg_ensemble",  # of one policy in each episode
    *("asymmetric_q", "team_q", "wolf_phc"),  # the first two where nothing was learnt yet
}
SECOND_OF_ITS_KIND = {  # engine and parts are those of another case; left to the slow tests
    *(("coma", "recurrent"), ("happo", "recurrent"), ("cw_qmix", "game"), ("qtran_alt", "game")),
    *(("friend_or_foe_q", "friends"), ("haa2c", "mixed"), ("iql", "no replay")),
    *(("ippo", "unshared"), ("ia2c", "mixed"), ("maa2c", "unshared"), ("ow_qmix", "game")),
    *(("ac", "deaths"), ("mfac", "battle, lagged")),
    *(("il", "battle, lagged"), ("giga_wolf", "game"), ("pd_wolf_iga", "game"), ("rfmq", "game")),
    *(("regret_matching_plus", "game"), ("hysteretic_q", "game"), ("sarsa", "game")),
    *(("haddpg", "mixed"), ("iddpg", "deaths"), ("isac", "deaths"), ("matd3", "mixed")),
    *(("maddpg", "mixed"), ("maddpg_ensemble", "mixed"), ("phc", "game"), ("qtran", "deaths")),
    *(("maddpg_inferred", "mixed"), ("hatd3", "mixed"), ("mappo", "battle")),
    *(("ippo", "recurrent"), ("happo", "mixed"), ("qplex", "game")),
    *((name, "game") for name in ("ce_q", "nash_q", "giga", "replicator", "regret_matching")),
    *((name, "game") for name in ("hyper_q", "exorl", "pd_wolf", "team_q", "oal", "fmq")),
    *(("opponent_modelling_q", "game"), ("multiplicative_weights", "game")),
    *(("friend_or_foe_q", "foe"), ("distributed_q", "game"), ("lenient_q", "game")),
    *((name, "game") for name in ("asymmetric_q", "awesome", "meta_strategy", "nscp", "jal")),
    *((name, "game") for name in ("smooth_fictitious_play", "wolf_iga")),
    *(("hatrpo", "mixed"), ("maac", "deaths")),
}
CASES = [(name, case) for name in sorted(ALGORITHMS) for case in FITTING.get(name, {})]
ONE_OF_AN_ENGINE = {
    *(("ippo", "deaths"), ("qmix", "deaths"), ("minimax_q", "game"), ("wolf_phc", "game")),
}

NUM_UPDATES, NUM_DEVICES = 6, 8
FLAWED = 5  # the run that is told to diverge


class Programs(NamedTuple):
    """An algorithm and its compiled programs, of 8 runs spread over 8 devices."""

    name: str
    env: Any
    algorithm: Any
    keys: jax.Array  # [2]
    rows: Any  # leaves [4]: every hparam takes four values
    start: Any  # key, hparams -> state
    half: Any  # key, state, hparams, first -> state, metrics of 3 updates


def four_values(defaults):
    """Rows of hparams in which every one of them varies, and stays in its range."""

    def values(field):
        value = getattr(defaults, field.name)
        low, high = field.metadata["low"], field.metadata["high"]
        return np.clip(np.array([1.0, 0.9, 0.8, 0.7]) * value, low, high)

    return hp.table(defaults, **{f.name: values(f) for f in hp.fields(defaults)})


def marked(case, slow):
    return pytest.param(case, marks=pytest.mark.slow if slow else ())


@pytest.fixture(
    scope="module",
    params=[marked(case, case in SECOND_OF_ITS_KIND) for case in CASES],
    ids=["-".join(case) for case in CASES],
)
def programs(request):
    name, case = request.param
    build, config = FITTING[name][case]
    env = build()
    algorithm = make_algorithm(name, env, **config)
    assert len(jax.devices()) >= NUM_DEVICES, "the tests want eight devices, see the Makefile"
    mesh = run_mesh(jax.devices()[:NUM_DEVICES])
    _, half = make_train(algorithm, env, Schedule(NUM_UPDATES // 2))
    return Programs(
        name,
        env,
        algorithm,
        jax.random.split(jax.random.key(0), 2),
        four_values(algorithm.hparams),
        sharded(algorithm.init, mesh, (0, 0)),
        sharded(half, mesh, (0, 0, 0, None)),
    )


@pytest.fixture(scope="module")
def runs(programs):
    """(keys, states, hparams) of 8 runs, every row with every key, as `train` starts them."""
    keys, rows = pairs(programs.keys, programs.rows)
    split = jax.vmap(jax.random.split)(keys)
    return split[:, 1], programs.start(split[:, 0], rows), rows


@pytest.fixture(scope="module")
def trained(programs, runs):
    return updated(programs, *runs)


def updated(programs, keys, state, rows):
    """(states, metrics) of 6 updates in two halves, as NumPy arrays; typed keys as their data."""
    metrics = []
    for first in (0, NUM_UPDATES // 2):
        state, some = programs.half(keys, state, rows, jnp.int32(first))
        metrics.append(host(some))
    return host(state), jax.tree.map(lambda *x: np.concatenate(x, axis=1), *metrics)


def host(tree):
    raw = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return jax.tree.map(lambda x: np.asarray(raw(x)), tree)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, host(a), host(b))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_has_an_environment_it_is_tested_in(name):
    assert FITTING.get(name), f"{name} is registered: add an environment for it to FITTING"


def test_compiles_once_however_hparams_vary(programs, runs, trained):
    keys, state, rows = runs
    for name in hp.names(rows):
        other = rows.replace(**{name: getattr(rows, name)[::-1]})
        programs.half(keys, state, other, jnp.int32(0))
    assert programs.half._cache_size() == 1


def test_hparams_matter(programs, runs, trained):
    """Runs 0 and 6 have the same key and different rows, and learn different things."""
    assert_equal(runs[0][0], runs[0][6])
    assert any((leaf[0] != leaf[6]).any() for leaf in jax.tree.leaves(trained[0].params))


def test_first_state_is_typed_as_what_is_learnt(programs):
    """A scan refuses a state that changes shape or type, but promotes a weakly typed first one."""
    state = jax.eval_shape(programs.algorithm.init, jax.random.key(0), hp.row(programs.rows, 0))
    assert not any(x.weak_type for x in jax.tree.leaves(state))


def test_metrics_are_finite(programs, trained):
    _, metrics = trained
    for name, figures in metrics.items():
        assert (figures.shape, figures.dtype) == ((8, NUM_UPDATES), np.float32), name
        assert np.isfinite(figures).all(), name
    np.testing.assert_array_equal(metrics["finite"], 1)


def test_updates_differ_by_their_index(programs, runs, trained):
    """Were the second half told that it is the first, it would draw what the first drew."""
    keys, state, rows = runs
    state, _ = programs.half(keys, state, rows, jnp.int32(0))
    repeated, _ = programs.half(keys, state, rows, jnp.int32(0))
    leaves = zip(jax.tree.leaves(host(repeated)), jax.tree.leaves(trained[0]))
    if programs.name not in NEVER_DRAWS:
        assert any((a != b).any() for a, b in leaves)


compiles_another_program = pytest.mark.parametrize(
    "programs",
    [marked(case, case not in ONE_OF_AN_ENGINE) for case in CASES],
    indirect=True,
    ids=["-".join(case) for case in CASES],
)


@compiles_another_program
def test_resumes_exactly(programs, runs, trained):
    """Six updates in one program are the same to the last bit as three and three."""
    mesh = run_mesh(jax.devices()[:NUM_DEVICES])
    _, whole = make_train(programs.algorithm, programs.env, Schedule(NUM_UPDATES))
    unbroken = host(sharded(whole, mesh, (0, 0, 0, None))(*runs, jnp.int32(0)))
    assert_equal(unbroken[0], trained[0])
    assert_equal(unbroken[1], trained[1])


@compiles_another_program
def test_sharding_changes_rounding_only(programs, trained):
    """Another program rounds differently, and one flipped action sends a run its own way."""
    train, _ = make_train(programs.algorithm, programs.env, Schedule(NUM_UPDATES))
    _, metrics = sweep(train, programs.keys, programs.rows, run_mesh(jax.devices()[:1]))
    together = []
    for name, one in host(metrics).items():
        assert one.shape == (4, 2, NUM_UPDATES), name
        eight = trained[1][name].reshape(one.shape)
        if name.startswith("episode_"):  # played before anything was learned
            np.testing.assert_allclose(one[..., 0], eight[..., 0], rtol=1e-6, err_msg=name)
            together.append(np.isclose(one, eight, rtol=1e-5).all(-1))
    assert np.mean(together) > 0.7  # runs that never parted


def test_runs_are_spread_over_the_devices(programs, runs):
    for leaf in jax.tree.leaves(programs.half(*runs, jnp.int32(0))):
        assert len(leaf.sharding.device_set) == NUM_DEVICES


def test_a_run_that_diverges_leaves_the_others_alone(programs, runs, trained):
    keys, state, rows = runs
    numbers = hp.names(rows)
    number = "learning_rate" if "learning_rate" in numbers else numbers[0]
    rows = rows.replace(**{number: getattr(rows, number).at[FLAWED].set(jnp.inf)})
    _, metrics = updated(programs, keys, state, rows)
    others = np.arange(8) != FLAWED
    for name, figures in metrics.items():
        np.testing.assert_array_equal(figures[others], trained[1][name][others], err_msg=name)
    if programs.name in READ_AT_START:
        return
    assert metrics["finite"][FLAWED, -1] == 0
    fell = np.diff(metrics["finite"][FLAWED])
    assert (fell <= 0).all(), "once diverged, a run stays so"


def test_acts_inside_its_spaces(programs, runs):
    env, policy = programs.env, programs.algorithm.policy
    params = jax.tree.map(lambda x: x[0], host(runs[1].params))  # on the host, where x[0] is free
    timestep = host(runs[1].play.timestep)
    while timestep.last.ndim:  # of run 0, and of its environment 0 if it plays several
        timestep = jax.tree.map(lambda x: x[0], timestep)

    def play(choose, key):
        actions, memory = choose(params, key, timestep, policy.memory())
        return actions, memory, *choose(params, key, timestep, memory)

    greedy = jax.jit(policy.greedy)
    results = play(greedy, jax.random.key(3))
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    for first, memory, second, after in (play(jax.jit(policy.act), jax.random.key(3)), results):
        for name, group in env.groups.items():
            for chosen in (first[name], second[name]):
                assert chosen.shape == (group.size, *group.action.shape)
                assert chosen.dtype == group.action.dtype
                assert group.action.contains(chosen)
                if name in timestep.action_mask:
                    mask = np.asarray(timestep.action_mask[name])
                    assert mask[np.arange(group.size), chosen].all()
        assert shapes(memory) == shapes(after) == shapes(policy.memory())
    if programs.name not in MIXED:  # whatever the key
        assert_equal(play(greedy, jax.random.key(4)), results)


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, f) for name in sorted(ALGORITHMS) for f in dataclasses.fields(config_type(name))],
    ids=lambda x: getattr(x, "name", x),
)
def test_an_illegal_config_names_its_field(name, field):
    """Refused as soon as it is written down: nothing has been built yet."""
    kind = option_kinds(config_type(name))[field.name]
    wrong = {int: -1, float: -1.0, str: "nonsense", tuple: (0,), bool: 2}[kind]
    with pytest.raises(
        ValueError, match=f"^{field.name}: expected .* got .*{re.escape(str(wrong))}"
    ):
        config_type(name)(**{field.name: wrong})


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_an_unknown_option_names_the_nearest(name):
    with pytest.raises(ValueError, match=r"rollout_lenght'; did you mean 'rollout_length'"):
        make_algorithm(name, DyingAgents(), rollout_lenght=4)


@pytest.mark.parametrize(
    ("name", "env", "why"),
    [
        ("mfq", DyingAgents(), "mfq: needs a mean-field environment"),
        ("mfac", DyingAgents(), "mfac: needs a mean-field environment"),
        ("mfq", MixedGroups(), 'needs discrete actions, group "aimer"'),
        ("il", MixedGroups(), 'needs discrete actions, group "aimer"'),
        ("tabular_mfq", DyingAgents(), "tabular_mfq: needs a mean-field environment"),
        ("tabular_mfq", MixedGroups(), 'needs discrete observations, group "aimer"'),
        ("q_learning", MixedGroups(), 'needs discrete observations, group "aimer"'),
        ("maac", MixedGroups(), 'needs discrete actions, group "aimer"'),
    ],
)
def test_an_environment_that_does_not_fit_is_refused(name, env, why):
    with pytest.raises(ValueError, match=why):
        make_algorithm(name, env)


def test_padding_is_no_run():
    """Three runs on eight devices: the filling is computed and dropped."""
    rows = hp.grid(ALGORITHMS["q_learning"](MEMORY_GAME()).hparams, gamma=[0.1, 0.2, 0.3])
    padded = pad(rows, NUM_DEVICES)
    np.testing.assert_allclose(padded.gamma, [0.1, 0.2] + [0.3] * 6)
