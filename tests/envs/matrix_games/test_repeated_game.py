import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs.matrix_games import from_payoffs, matrix_game
from jaxmarl_core.envs.matrix_games.library import GAMES, game
from jaxmarl_core.solvers.markov_games import backup, expected_reward, markov_game
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group

KEY = jax.random.key(0)
THREE = np.random.default_rng(0).normal(size=(3, 2, 3, 4)).astype(np.float32)


def split(env, joint):
    """A joint action [N] as a dict of groups."""
    joint, actions = jnp.asarray(joint, jnp.int32), {}
    for name, group in env.groups.items():
        actions[name], joint = joint[: group.size], joint[group.size :]
    return actions


def play(env, joint, key=KEY):
    """The time step that a joint action leads to from the start."""
    state, _ = env.reset(key)
    return env.step(key, state, split(env, joint))[1]


# operation by operation, each would be compiled by itself
played = jax.jit(play)
reset = jax.jit(lambda env, key: env.reset(key))
step = jax.jit(lambda env, key, state, joint: env.step(key, state, split(env, joint)))
render = jax.jit(lambda env, state: env.render(state))


def joined(by_group):
    return np.concatenate([np.asarray(x) for x in by_group.values()])


# One equilibrium of each two-player game, by hand.
EQUILIBRIA = {
    "prisoners_dilemma": ([0, 1], [0, 1]),
    "matching_pennies": ([1 / 2, 1 / 2], [1 / 2, 1 / 2]),
    "rock_paper_scissors": ([1 / 3] * 3, [1 / 3] * 3),
    "battle_of_the_sexes": ([2 / 3, 1 / 3], [1 / 3, 2 / 3]),
    "chicken": ([9 / 10, 1 / 10], [9 / 10, 1 / 10]),
    "stag_hunt": ([3 / 4, 1 / 4], [3 / 4, 1 / 4]),
    "coordination": ([0, 1], [0, 1]),
    "climbing": ([1, 0, 0], [1, 0, 0]),
    "penalty": ([0, 1, 0], [0, 1, 0]),
    "partially_stochastic_climbing": ([0, 1, 0], [0, 1, 0]),
    "fully_stochastic_climbing": ([0, 1, 0], [0, 1, 0]),
    "shapley": ([1 / 3] * 3, [1 / 3] * 3),
    "tricky": ([1 / 2, 1 / 2], [1 / 2, 1 / 2]),
    "qtran": ([1, 0, 0], [1, 0, 0]),
    "shared_policy_trap": ([1, 0], [0, 1]),
    "simultaneous_update_trap": ([0, 1], [1, 0]),
}


@pytest.mark.parametrize("name", GAMES)
def test_nobody_gains_by_leaving_an_equilibrium(name):
    row, column = game(name).payoffs.astype(float)
    x, y = map(np.asarray, EQUILIBRIA[name])
    np.testing.assert_allclose((row @ y).max(), x @ row @ y, atol=1e-6)
    np.testing.assert_allclose((x @ column).max(), x @ column @ y, atol=1e-6)


def test_mixed_equilibria_of_two_actions_leave_the_other_indifferent():
    for name in ("battle_of_the_sexes", "chicken", "stag_hunt", "tricky", "matching_pennies"):
        row, column = game(name).payoffs.astype(float)
        x, y = map(np.asarray, EQUILIBRIA[name])
        np.testing.assert_allclose(np.diff(row @ y), 0, atol=1e-6)
        np.testing.assert_allclose(np.diff(x @ column), 0, atol=1e-6)


def test_orientation_of_the_climbing_game():
    table = game("climbing").payoffs[0]  # rows are player 0's
    assert (table[1, 2], table[2, 1], table[0, 0]) == (6, 0, 11)


def test_both_noisy_climbing_games_have_the_means_of_climbing():
    climbing = game("climbing")
    for name in ("partially_stochastic_climbing", "fully_stochastic_climbing"):
        np.testing.assert_array_equal(game(name).payoffs, climbing.payoffs)
    spread = game("partially_stochastic_climbing").spread[0]
    np.testing.assert_array_equal(spread, np.diag([0, 7, 0]))
    assert (game("fully_stochastic_climbing").spread[0] > 0).sum() == 9


def test_penalty_takes_its_k():
    np.testing.assert_array_equal(
        game("penalty", penalty=-50.0).payoffs[1], [[10, 0, -50], [0, 2, 0], [-50, 0, 10]]
    )


def test_shared_policies_are_trapped():
    # n = 4: a policy that all share and that plays 1 with probability p earns 2 p^2 (1 - p)^2,
    # at most 2 / 2^4; two joint actions earn 1
    payoff = game("shared_policy_trap", num_agents=4).payoffs[0]
    assert sorted(map(tuple, np.argwhere(payoff == 1))) == [(0, 0, 1, 1), (1, 1, 0, 0)]
    assert payoff.sum() == 2

    def shared_value(p):
        return sum(
            payoff[joint] * np.prod(np.where(joint, p, 1 - p))
            for joint in itertools.product((0, 1), repeat=4)
        )

    best = max(shared_value(p) for p in np.linspace(0, 1, 21))
    np.testing.assert_allclose(best, 2 / 2**4)


def test_simultaneous_updates_are_trapped():
    payoff = game("simultaneous_update_trap").payoffs[0]
    for p, reply in ((0.55, 0), (0.65, 1)):  # p: the other's probability of 0
        assert (payoff @ [p, 1 - p]).argmax() == reply
    assert payoff[1, 1] == payoff.min()


def test_every_joint_action_pays_its_entry(variant):
    env = from_payoffs(THREE)
    pay = variant(lambda joint: play(env, joint).reward)
    for joint in itertools.islice(itertools.product(range(2), range(3), range(4)), 0, 24, 5):
        reward = joined(pay(np.array(joint)))
        np.testing.assert_allclose(reward, THREE[:, joint[0], joint[1], joint[2]], rtol=1e-6)


def test_one_coin_for_all_players():
    env = matrix_game("fully_stochastic_climbing")
    keys = jax.random.split(KEY, 400)
    reward = jax.jit(jax.vmap(lambda key: play(env, [0, 1], key).reward["agents"]))(keys)
    reward = np.asarray(reward)
    assert set(np.unique(reward)) == {-65, 5}
    np.testing.assert_array_equal(reward[:, 0], reward[:, 1])
    assert abs((reward[:, 0] == 5).mean() - 0.5) < 0.1  # 4 standard deviations


def test_a_team_with_equal_actions_is_one_group():
    groups = matrix_game("coordination", num_agents=3).groups
    assert list(groups) == ["agents"]
    assert groups["agents"] == Group(3, Discrete(1), Discrete(2), common_reward=True)


def test_rivals_are_groups_and_teams_of_their_own():
    groups = from_payoffs(THREE).groups
    assert [(name, *group[:4], group.common_reward) for name, group in groups.items()] == [
        ("player_0", 1, Discrete(1), Discrete(2), 0, False),
        ("player_1", 1, Discrete(1), Discrete(3), 1, False),
        ("player_2", 1, Discrete(1), Discrete(4), 2, False),
    ]


def test_a_team_with_unequal_actions_is_one_team_of_groups():
    groups = from_payoffs(np.broadcast_to(THREE[0], THREE.shape)).groups
    assert [group.team for group in groups.values()] == [0, 0, 0]


def test_memory_is_the_last_joint_action(variant):
    env = from_payoffs(THREE, memory=True, num_rounds=None)
    _, first = reset(env, KEY)
    np.testing.assert_array_equal(joined(first.observation), [24, 24, 24])
    seen = variant(lambda joint: (lambda t: (t.observation, t.state))(play(env, joint)))
    for joint in [(0, 0, 0), (1, 0, 2), (1, 2, 3)]:
        observation, critic = seen(np.array(joint))
        index = np.ravel_multi_index(joint, (2, 3, 4))
        np.testing.assert_array_equal(joined(observation), np.full(3, index))
        np.testing.assert_array_equal(critic, np.eye(25)[index])


@pytest.mark.parametrize(
    ("options", "last", "discount"),
    [
        ({}, [True], [0]),
        ({"num_rounds": 2}, [False, True], [1, 0]),
        ({"num_rounds": 2, "truncate": True}, [False, True], [1, 1]),
        ({"num_rounds": None}, [False, False], [1, 1]),
    ],
)
def test_ends_are_told_honestly(options, last, discount):
    env = matrix_game(**options)
    state, timestep = reset(env, KEY)
    assert not timestep.last
    np.testing.assert_array_equal(joined(timestep.discount), [1, 1])
    np.testing.assert_array_equal(joined(timestep.reward), [0, 0])
    for expected_last, expected_discount in zip(last, discount):
        state, timestep = step(env, KEY, state, np.array([0, 1]))
        assert bool(timestep.last) == expected_last
        np.testing.assert_array_equal(joined(timestep.discount), [expected_discount] * 2)
        np.testing.assert_array_equal(joined(timestep.reward), [0, 5])


def test_critic_sees_how_many_rounds_are_left_only_if_they_truly_end():
    env = matrix_game(num_rounds=4)
    none = np.array([0, 0])
    np.testing.assert_allclose(played(env, none).state, [1, 0.25])
    np.testing.assert_allclose(played(env.replace(truncate=True), none).state, [1])


@pytest.mark.parametrize(
    ("name", "num_agents", "memory"),
    [("shapley", 2, False), ("coordination", 3, True), ("fully_stochastic_climbing", 2, True)],
)
def test_random_play_stays_in_spec(name, num_agents, memory):
    env = matrix_game(name, num_agents=num_agents, num_rounds=3, memory=memory)

    def one(state, key):
        joint = [
            group.action.sample(key) for group in env.groups.values() for _ in range(group.size)
        ]
        return env.step(key, state, split(env, jnp.stack(joint)))

    @jax.jit
    def episodes(key):
        state, first = env.reset(key)
        return first, jax.lax.scan(one, state, jax.random.split(key, 4))[1]

    first, rest = episodes(KEY)
    for timestep in (first, jax.tree.map(lambda x: x[-1], rest)):
        for group_name, group in env.groups.items():
            seen = np.asarray(timestep.observation[group_name])
            assert seen.shape == (group.size,)
            assert group.observation.contains(seen)
            assert timestep.reward[group_name].shape == (group.size,)
    shapes = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape[1:], b.dtype), first, rest)
    assert all(jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("options", "num_states", "start"),
    [  # climbing has 9 joint actions
        ({"num_rounds": None}, 1, 0),
        ({"num_rounds": 3, "truncate": True}, 1, 0),
        ({"num_rounds": None, "memory": True}, 10, 9),
        ({"num_rounds": 3, "truncate": True, "memory": True}, 10, 9),
        ({"num_rounds": 1}, 2, 0),
        ({"num_rounds": 3}, 4, 0),
        ({"num_rounds": 3, "memory": True}, 28, 0),
    ],
)
def test_states_have_numbers(options, num_states, start):
    env = matrix_game("climbing", **options)
    assert env.num_states == num_states
    np.testing.assert_array_equal(env.start_distribution(), np.arange(num_states) == start)
    there_and_back = jax.jit(jax.vmap(lambda s: env.encode(env.decode(s))))
    np.testing.assert_array_equal(there_and_back(np.arange(num_states)), np.arange(num_states))
    state = env.initial(KEY)
    for joint in ((0, 2), (2, 1), (1, 1)):
        if not env.terminal(state):
            number, shown = int(env.encode(state)), int(env.observe(state).observation["agents"][0])
            assert env.counted_rounds is not None or number == shown
            np.testing.assert_array_equal(env.decode(number).action, state.action * env.memory)
            state, _ = step(env, KEY, state, np.array(joint))


@pytest.mark.parametrize("memory", [False, True])
def test_planning_over_rounds_adds_payoffs_up(memory):
    """Three rounds are worth the sum of three; a game for ever is worth 1 / (1 - gamma) rounds."""
    table = matrix_game("fully_stochastic_climbing", num_rounds=3, memory=memory)
    game = markov_game(table)
    assert game.terminal.sum() == (9 if memory else 1)
    np.testing.assert_allclose(expected_reward(game)[:, 0], table.payoffs, atol=1e-5)
    value, best = np.zeros((2, game.num_states), np.float32), jax.jit(backup)
    for _ in range(3):
        value = np.asarray(best(game, value, 1.0)).max(axis=(2, 3))
    np.testing.assert_allclose(value[:, 0], 33, rtol=1e-6)

    game = markov_game(matrix_game("climbing", num_rounds=None, memory=memory))
    np.testing.assert_allclose(
        backup(game, np.full((2, game.num_states), 110, np.float32), 0.9).max(axis=(2, 3)), 110
    )


def test_tables_know_the_coin():
    game = markov_game(matrix_game("partially_stochastic_climbing"))
    np.testing.assert_allclose(game.probability, 0.5)
    assert sorted(np.asarray(game.reward)[0, 0, 1, 1].tolist()) == [0, 14]


def test_time_steps_hold_no_weak_types():
    env = matrix_game(memory=True)
    shapes = jax.eval_shape(lambda: (env.reset(KEY), play(env, [0, 1])))
    weak = [leaf.weak_type for leaf in jax.tree.leaves(shapes)]
    assert not any(weak)


def test_many_games_at_once():
    env = matrix_game("matching_pennies")
    batch = jnp.stack([env.payoffs, 3 * env.payoffs])

    def value(payoffs):
        return play(env.replace(payoffs=payoffs), [0, 0]).reward["player_0"][0]

    np.testing.assert_allclose(jax.vmap(value)(batch), [1, 3])
    np.testing.assert_allclose(jax.grad(value)(env.payoffs)[0], [[1, 0], [0, 0]])


def test_a_new_payoff_compiles_nothing():
    again = jax.jit(lambda env, state, actions: env.step(KEY, state, actions))
    env = matrix_game()
    for factor in (1.0, 2.0):
        other = env.replace(payoffs=factor * env.payoffs)
        again(other, reset(other, KEY)[0], split(env, [0, 1]))
    assert again._cache_size() == 1


def test_render_frames_what_was_played():
    env = matrix_game("climbing")
    state, _ = reset(env, KEY)
    before = render(env, state)
    after = render(env, step(env, KEY, state, np.array([1, 2]))[0])
    assert before.shape == after.shape == (180, 180, 3)
    assert before.dtype == np.uint8
    changed = np.array((before != after).any(-1))
    assert changed[60:120, 120:].any()
    changed[60:120, 120:] = False
    assert not changed.any()
    assert before[10, 30, 1] > before[10, 90, 1]  # 11 greener than -30


def test_render_any_number_of_players():
    state, _ = reset(env := from_payoffs(THREE), KEY)
    assert render(env, state).shape == (2 * 60, 12 * 60, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: matrix_game("climbin"), "name: .* did you mean 'climbing'"),
        (lambda: matrix_game("climbing", num_agents=3), "num_agents: expected 2 for this game"),
        (lambda: matrix_game("coordination", num_agents=1), r"num_agents: expected in \[2, 16\]"),
        (lambda: matrix_game("shared_policy_trap", num_agents=3), "num_agents: .* even number"),
        (lambda: matrix_game("penalty", penalty=3.0), "penalty: expected at most 0, got 3.0"),
        (lambda: matrix_game(num_rounds=0), "num_rounds: expected at least 1, or None, got 0"),
        (lambda: matrix_game(num_rounds=None, truncate=True), "truncate: expected False"),
        (lambda: from_payoffs([[1, 2], [3, 4]]), r"payoffs: expected shape .* got \[2, 2\]"),
        (lambda: from_payoffs(np.zeros((3, 2, 2))), r"payoffs: expected shape .* got \[3, 2, 2\]"),
        (lambda: from_payoffs(1.0), r"payoffs: expected shape .* got \[\]"),
        (lambda: from_payoffs(np.full((2, 1, 1), np.nan)), "payoffs: expected finite numbers"),
        (lambda: from_payoffs(THREE, spread=THREE[:, :1]), r"spread: expected the shape of payoff"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
