"""Littman's soccer against its rules written down again in NumPy, and its published solution."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax, solve_zero_sum

from jaxmarl_core.envs.gridworlds.soccer import soccer
from jaxmarl_core.solvers.markov_games import backup, expected_reward, markov_game

KEY = jax.random.key(0)
MOVES = [(-1, 0), (1, 0), (0, 1), (0, -1), (0, 0)]  # north, south, east, west, stand
N, S, E, W, STAND = range(5)


def play_move(positions, holder, player, action, rows, columns):
    """One move by the rules of the paper: (positions, holder, whether it is a goal)."""
    row, column = positions[player]
    down, right = MOVES[action]
    to = (row + down, column + right)
    goal_rows = {(rows - 1) // 2, rows // 2}
    if not (0 <= to[0] < rows and 0 <= to[1] < columns):
        through = row in goal_rows and to[1] == (columns if player == 0 else -1)
        return positions, holder, through and holder == player
    if to == positions[1 - player]:
        return positions, 1 - player if holder == player else holder, False
    positions = list(positions)
    positions[player] = to
    return tuple(positions), holder, False


def rules(rows=4, columns=5):
    """(states, transition [S, 5, 5, S], reward to A [S, 5, 5]) by enumeration."""
    cells = list(itertools.product(range(rows), range(columns)))
    states = [(a, b, h) for a, b in itertools.permutations(cells, 2) for h in (0, 1)]
    number = {state: i for i, state in enumerate(states)}
    kick_off = ((rows // 2, 1), ((rows - 1) // 2, columns - 2))
    transition = np.zeros((len(states), 5, 5, len(states)))
    reward = np.zeros((len(states), 5, 5))
    for (s, (a, b, h)), joint in itertools.product(
        enumerate(states), itertools.product(range(5), repeat=2)
    ):
        for order in ((0, 1), (1, 0)):
            positions, holder, goal = (a, b), h, False
            for player in order:
                positions, holder, goal = play_move(
                    positions, holder, player, joint[player], rows, columns
                )
                if goal:
                    reward[s, *joint] += 0.5 * (1 if player == 0 else -1)
                    for who in (0, 1):
                        transition[s, *joint, number[(*kick_off, who)]] += 0.25
                    break
            if not goal:
                transition[s, *joint, number[(*positions, holder)]] += 0.5
    return states, transition, reward


def described(env):
    """What every number stands for: (cell of A, cell of B, holder)."""
    states = jax.vmap(env.decode)(jnp.arange(env.num_pairs))
    places = [[divmod(int(c), env.columns) for c in pair] for pair in np.asarray(states.cell)]
    return [(*pair, int(h)) for pair, h in zip(places, np.asarray(states.holder))]


def dense(game, num_states):
    """Tables as transition [S, A, B, S] f64 among the first `num_states` states."""
    successor, probability = (np.asarray(x)[:num_states] for x in game[:2])
    table = np.zeros((*successor.shape[:-1], game.num_states))
    index = np.indices(successor.shape)
    np.add.at(table, (*index[:-1], successor), probability)
    return table[..., :num_states]


@pytest.fixture(scope="module")
def littman():
    env = soccer()
    return env, markov_game(env), *rules()


@pytest.fixture(scope="module")
def solution(littman):
    *_, transition, reward = littman
    return solve_zero_sum(transition, reward, 0.9)


def same_order(env, states):
    """Where each of our numbers is in the list of states."""
    number = {state: i for i, state in enumerate(states)}
    return np.array([number[state] for state in described(env)])


def test_tables_are_the_rules(littman):
    env, game, states, transition, reward = littman
    assert env.num_states == len(states) == 760
    order = same_order(env, states)
    ours = dense(game, env.num_states)
    for s, row in enumerate(order):
        np.testing.assert_allclose(ours[s], transition[row][..., order], atol=1e-6)
    np.testing.assert_allclose(expected_reward(game)[0], reward[order], atol=1e-6)
    np.testing.assert_allclose(expected_reward(game)[1], -reward[order], atol=1e-6)


@pytest.mark.slow
def test_the_published_values(littman, solution):
    """Littman's game at gamma 0.9, start and extremes, to the digits recorded."""
    env, _, states, *_ = littman
    start = {h: states.index(((2, 1), (1, 3), h)) for h in (0, 1)}
    np.testing.assert_allclose(solution[start[0]], 0.218484440, atol=1e-8)
    np.testing.assert_allclose(solution[start[1]], -0.218484440, atol=1e-8)
    np.testing.assert_allclose(abs(solution).max(), 1, atol=1e-8)
    begun = described(env)
    chosen = np.flatnonzero(env.start_distribution())
    assert {begun[s] for s in chosen} == {states[s] for s in start.values()}


@pytest.mark.slow
def test_the_solution_is_a_fixed_point_of_backup(littman, solution):
    env, game, states, *_ = littman
    value = solution[same_order(env, states)]
    both = jnp.asarray(np.stack([value, -value]), jnp.float32)
    stage = np.asarray(jax.jit(backup)(game, both, 0.9))
    np.testing.assert_allclose(stage[1], -stage[0], atol=1e-6)
    again = [minimax(matrix)[0] for matrix in stage[0]]
    np.testing.assert_allclose(again, value, atol=1e-5)
    gap = stage[0].max(axis=1).min(axis=1) - stage[0].min(axis=2).max(axis=1)
    assert 0 < (gap > 1e-4).sum() <= 56  # one solution mixes in 56 states; no more can have to


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (3, 4)])
def test_other_boards_follow_the_rules(rows, columns):
    env = soccer(rows=rows, columns=columns)
    states, transition, reward = rules(rows, columns)
    order, game = same_order(env, states), markov_game(env)
    np.testing.assert_allclose(
        dense(game, env.num_states), transition[order][..., order], atol=1e-6
    )
    np.testing.assert_allclose(expected_reward(game)[0], reward[order], atol=1e-6)


def test_draws_are_a_discount(littman):
    """Ending each step with probability 0.1 is worth what gamma = 0.9 is, whatever comes after."""
    _, game, *_ = littman
    drawn = markov_game(soccer(draw_probability=0.1))
    value = np.random.default_rng(0).normal(size=(2, 761)).astype(np.float32)
    undiscounted = backup(drawn, value, 1.0)[:, :760]
    np.testing.assert_allclose(undiscounted, backup(game, value[:, :760], 0.9), atol=1e-5)
    np.testing.assert_array_equal(drawn.terminal, np.arange(761) == 760)


def test_a_goal_may_end_the_game(littman):
    _, game, *_ = littman
    ending = markov_game(soccer(goal_ends=True))
    ours, theirs = dense(game, 760), dense(ending, 760)
    ends = np.asarray(expected_reward(game)[0]) != 0  # at least one order scores
    np.testing.assert_allclose(ours[~ends], theirs[~ends], atol=1e-6)
    np.testing.assert_allclose(expected_reward(ending)[:, :760], expected_reward(game), atol=1e-6)
    assert (theirs[ends].sum(axis=-1) < 0.51).all()


def walk(env, state, *joints):
    """The time steps along a list of joint actions."""
    step = jax.jit(env.step)
    shown = []
    for joint in joints:
        actions = {name: jnp.array([a]) for name, a in zip("AB", joint)}
        state, timestep = step(KEY, state, actions)
        shown.append(timestep)
    return shown


def test_goals_and_winners_are_told():
    env = soccer(max_steps=5)
    state = env.decode(env.encode(env.initial(KEY).replace(holder=jnp.int32(0))))
    *way, goal, after = walk(env, state, *[(E, STAND)] * 5)  # from column 1 through column 4
    for timestep in way:
        assert int(timestep.extras["goal"]) == -1
        assert not timestep.last
    assert int(goal.extras["goal"]) == 0
    assert int(goal.extras["winner"]) == -1, "not before the end"
    assert (float(goal.reward["A"][0]), float(goal.reward["B"][0])) == (1, -1)
    assert not goal.last
    assert int(after.extras["goal"]) == -1
    np.testing.assert_array_equal(after.extras["score"], [1, 0])
    assert after.last
    assert int(after.extras["winner"]) == 0
    np.testing.assert_array_equal(after.discount["A"], [1])

    *_, goal = walk(soccer(goal_ends=True), state, *[(E, STAND)] * 4)
    assert goal.last
    assert int(goal.extras["winner"]) == 0
    np.testing.assert_array_equal(goal.discount["B"], [0])


def test_a_draw_has_no_winner():
    env = soccer(draw_probability=0.999)
    (drawn,) = walk(env, env.initial(KEY), (STAND, STAND))
    assert drawn.last
    assert int(drawn.extras["winner"]) == -1
    np.testing.assert_array_equal(drawn.discount["A"], [0])


def test_the_draw_probability_is_swept_without_compiling():
    env = soccer(draw_probability=0.1)
    state, joint = env.initial(KEY), jnp.array([N, S])
    chance = jax.jit(lambda p: env.replace(draw_probability=p).chance(state, joint))
    for p in (0.1, 0.4):
        np.testing.assert_allclose(chance(p), [*[(1 - p) / 4] * 4, *[p / 4] * 4], rtol=1e-6)
    assert chance._cache_size() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows: expected at least 1, got 0"),
        ({"columns": 3}, "columns: expected at least 4, got 3"),
        ({"goal_reward": 0.0}, "goal_reward: expected above 0, got 0.0"),
        ({"draw_probability": 1.0}, r"draw_probability: expected in \[0, 1\), got 1.0"),
        ({"max_steps": 0}, "max_steps: expected at least 1, or None, got 0"),
        ({"observation": "feature"}, "observation: .* did you mean 'features'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        soccer(**options)
