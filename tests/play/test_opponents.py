"""Worlds whose other groups are played inside `step`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import MixedGroups, Plain
from rock_paper_scissors import PAYOFF, RPS, mixed

from jaxmarl_core.checks.environment import check_environment
from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.play.evaluate import episode_figures, evaluate
from jaxmarl_core.play.opponents import ACTS, with_opponents, with_pool
from jaxmarl_core.play.policies import Player, joint, random_policy
from jaxmarl_core.play.pool import add, draw_weights, new_pool
from jaxmarl_core.play.wrappers import AutoReset, episode_metrics, episodic, team_names
from jaxmarl_core.types import Policy, Renderable

BATTLE = battle(map_size=12, num_red=3, num_blue=3, max_steps=6)


def counting(group):
    """Plays how often it has acted before, modulo 3: it needs its memory."""

    def act(params, key, timestep, memory):
        return {group: memory[None] % 3}, memory + 1

    return Policy(lambda: jnp.int32(0), act, act)


@pytest.mark.parametrize("bare", [BATTLE, Plain(BATTLE)], ids=["state", "plain"])
@pytest.mark.parametrize("own,other", [("red", "blue"), ("blue", "red")])
def test_a_step_is_the_joint_step_of_the_bare_world(bare, own, other):
    opponent = Player(random_policy(bare), ())
    world = with_opponents(bare, {other: opponent})
    state, seen = jax.jit(world.reset)(jax.random.key(0))
    bare_state, whole = jax.jit(bare.reset)(jax.random.key(0))
    step, bare_step = jax.jit(world.step), jax.jit(bare.step)
    for t in range(6):
        key = jax.random.key(t + 1)
        drawn, _ = random_policy(bare).act((), jax.random.key(100 + t), whole, ())
        # one opponent, whose key is the only one of a split of the folded one
        (opponents_key,) = jax.random.split(jax.random.fold_in(key, ACTS), 1)
        chosen, _ = opponent.policy.act((), opponents_key, whole, ())
        state, seen = step(key, state, {own: drawn[own]})
        bare_state, whole = bare_step(key, bare_state, {own: drawn[own], other: chosen[other]})
        for field in ("observation", "alive", "reward", "discount", "mean_action"):
            ours, theirs = getattr(seen, field), getattr(whole, field)
            assert list(ours) == [own]
            jax.tree.map(np.testing.assert_array_equal, ours[own], theirs[own])
        np.testing.assert_array_equal(seen.state, whole.state)
        assert seen.last == whole.last
    assert seen.last


@pytest.mark.fast("matrix_game", "plain", "pool")
@pytest.mark.parametrize(
    "world",
    [
        with_opponents(RPS, {"player_0": Player(random_policy(RPS), ())}),
        with_opponents(BATTLE, {"blue": Player(random_policy(BATTLE), ())}),
        with_opponents(Plain(BATTLE), {"red": Player(random_policy(BATTLE), ())}, greedy=True),
        with_opponents(MixedGroups(), {"aimer": Player(random_policy(MixedGroups()), ())}),
        with_pool(
            RPS, ["player_1"], mixed("player_1"), new_pool(jnp.zeros(3), 2), jnp.array([1.0, 0.0])
        ),
    ],
    ids=["matrix_game", "battle", "plain", "mixed", "pool"],
)
def test_it_keeps_a_worlds_promises(world):
    assert check_environment(world) == []


@pytest.mark.parametrize("own,other", [("player_0", "player_1"), ("player_1", "player_0")])
@pytest.mark.parametrize("action", [0, 1, 2])
def test_the_payoff_against_a_mixed_opponent_is_the_closed_form(own, other, action):
    strategy = np.array([0.5, 0.3, 0.2])
    world = with_opponents(RPS, {other: Player(mixed(other), jnp.log(strategy))})
    learner = Player(mixed(own), jnp.log(jnp.eye(3)[action]))
    played = jax.jit(lambda key: evaluate(key, world, learner, 10_000, 1, greedy=False))
    figures = episode_figures(world, played(jax.random.key(0)))
    payoffs = PAYOFF[action]  # the game is symmetric: the same from either side
    mean, square = payoffs @ strategy, payoffs**2 @ strategy
    bound = 5 * np.sqrt((square - mean**2) / 10_000)
    np.testing.assert_allclose(figures[f"return_{own}"].mean(), mean, atol=bound)
    won = strategy[payoffs > 0].sum()
    np.testing.assert_allclose(figures[f"win_{own}"].mean(), won, atol=0.025)


@pytest.mark.parametrize("own,other", [("player_0", "player_1"), ("player_1", "player_0")])
def test_figures_keep_the_teams_name_and_losses_are_no_draws(own, other):
    world = with_opponents(RPS, {other: Player(mixed(other), jnp.log(jnp.eye(3)[0]))}, greedy=True)
    assert team_names(world) == (own,)
    winners = []
    for action in range(3):  # rock draws, paper wins, scissors lose
        state, _ = world.reset(jax.random.key(0))
        _, seen = world.step(jax.random.key(1), state, {own: jnp.array([action])})
        winners.append(int(seen.extras["winner"]))
    assert winners == [-1, 0, 1]
    env = episodic(world)
    state, _ = env.reset(jax.random.key(0))
    _, seen = env.step(jax.random.key(1), state, {own: jnp.array([1])})
    metrics = episode_metrics(env, jax.tree.map(lambda x: x[None], seen))
    assert metrics[f"episode_win_{own}"] == 1
    assert metrics[f"episode_return_{own}"] == 1
    assert not any(other in name for name in metrics)


def test_a_partner_of_the_same_team_leaves_figures_without_names():
    payoffs = np.arange(6.0).reshape(2, 3)
    bare = from_payoffs(np.stack([payoffs, payoffs]))
    assert len(bare.groups) == 2 and {group.team for group in bare.groups.values()} == {0}
    world = with_opponents(bare, {"player_1": Player(random_policy(bare), ())})
    learner = Player(random_policy(world), ())
    episode = evaluate(jax.random.key(0), world, learner, 4, 1)
    assert set(episode_figures(world, episode)) == {"length", "return"}


def test_memory_begins_anew_with_every_episode():
    bare = matrix_game("rock_paper_scissors", num_rounds=3, memory=True)
    env = AutoReset(with_opponents(bare, {"player_1": Player(counting("player_1"), ())}))
    state, seen = env.reset(jax.random.key(0))
    played = []
    for t in range(8):
        state, seen = env.step(jax.random.key(t), state, {"player_0": jnp.array([0])})
        played.append(int(seen.observation["player_0"][0]))
    # the last joint action (0, a) is number a; 9 is a beginning
    assert played == [0, 1, 2, 9, 0, 1, 2, 9]


def test_opponents_draw_or_take_their_mode():
    params = jnp.log(jnp.array([0.5, 0.3, 0.2]))
    for greedy, expected in ((True, {0}), (False, {0, 1, 2})):
        world = with_opponents(RPS, {"player_1": Player(mixed("player_1"), params)}, greedy)
        state, _ = world.reset(jax.random.key(0))
        keys = jax.random.split(jax.random.key(1), 100)
        chosen, _ = jax.vmap(world.opponents_act, (0, None))(keys, state)
        assert set(np.unique(chosen["player_1"])) == expected


def test_parameters_are_leaves_that_compile_nothing_again():
    @jax.jit
    def reward(env, action):
        state, _ = env.reset(jax.random.key(0))
        _, seen = env.step(jax.random.key(1), state, {"player_0": action[None]})
        return seen.reward["player_0"][0]

    found = []
    world = with_opponents(RPS, {"player_1": Player(mixed("player_1"), jnp.zeros(3))}, True)
    for params in jnp.eye(3):
        other = world.replace(params={"player_1": params})
        found.append([float(reward(other, jnp.int32(action))) for action in range(3)])
    np.testing.assert_array_equal(found, PAYOFF.T)
    assert reward._cache_size() == 1


def test_what_the_world_can_do_it_still_can():
    world = with_opponents(BATTLE, {"blue": Player(random_policy(BATTLE), ())})
    assert world.max_steps == BATTLE.max_steps
    assert isinstance(world, Renderable)
    state, _ = jax.jit(world.reset)(jax.random.key(0))
    bare_state, whole = jax.jit(BATTLE.reset)(jax.random.key(0))
    pictures = jax.jit(world.render)(state), jax.jit(BATTLE.render)(bare_state)
    np.testing.assert_array_equal(*pictures)
    actions, _ = random_policy(BATTLE).act((), jax.random.key(1), whole, ())
    ours = jax.jit(world.mean_action)(state, {"red": actions["red"]})
    assert list(ours) == ["red"]
    np.testing.assert_array_equal(ours["red"], BATTLE.mean_action(bare_state, actions)["red"])
    plain = with_opponents(MixedGroups(), {"aimer": Player(random_policy(MixedGroups()), ())})
    assert not hasattr(plain, "mean_action") and not isinstance(plain, Renderable)


def test_a_pool_is_drawn_from_at_the_reset_and_tells_who_plays():
    eye = jnp.eye(3) * 50.0
    pool = add(new_pool(eye[0], 3), eye[1])  # two who play rock, paper; an empty place
    world = with_pool(RPS, ["player_1"], mixed("player_1"), pool, draw_weights(pool))

    def play(key):
        state, first = world.reset(key)
        _, seen = world.step(jax.random.key(1), state, {"player_0": jnp.array([0])})
        return first.extras["opponent"], seen.extras["opponent"], seen.reward["player_0"][0]

    first, then, reward = jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(0), 400))
    np.testing.assert_array_equal(first, then)
    np.testing.assert_array_equal(np.unique(first, axis=0), [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(reward, -then[:, 1])  # paper beats rock
    assert 0.4 < then[:, 0].mean() < 0.6  # 4 standard deviations


def test_an_episode_against_one_who_was_replaced_counts_for_nobody():
    pool = new_pool(jnp.zeros(3), 1)
    build = lambda pool: with_pool(RPS, ["player_1"], mixed("player_1"), pool, draw_weights(pool))
    state, seen = build(pool).reset(jax.random.key(0))
    np.testing.assert_array_equal(seen.extras["opponent"], [1])
    replaced = build(add(pool, jnp.ones(3)))
    _, seen = replaced.step(jax.random.key(1), state, {"player_0": jnp.array([0])})
    np.testing.assert_array_equal(seen.extras["opponent"], [0])


def test_mistakes_are_named():
    player = Player(random_policy(RPS), ())
    with pytest.raises(ValueError, match="did you mean 'player_1'"):
        with_opponents(RPS, {"player1": player})
    with pytest.raises(ValueError, match="a group left to learn"):
        with_opponents(RPS, {"player_0": player, "player_1": player})
    with pytest.raises(ValueError, match="opponents: expected a group of"):
        with_opponents(RPS, {})
    with pytest.raises(ValueError, match="a policy of that group, got \\['player_0'\\]"):
        with_opponents(RPS, {"player_1": Player(mixed("player_0"), jnp.zeros(3))})
    with pytest.raises(ValueError, match=r"weights: expected shape \(2,\)"):
        with_pool(RPS, ["player_1"], mixed("player_1"), new_pool(jnp.zeros(3), 2), jnp.ones(3))


def test_the_learner_plays_as_in_the_bare_world():
    """The same figures as `evaluate` has with both as players of the bare world, in the mean."""
    opponent = Player(mixed("player_1"), jnp.log(jnp.array([0.2, 0.2, 0.6])))
    learner = Player(mixed("player_0"), jnp.log(jnp.array([0.6, 0.2, 0.2])))
    world = with_opponents(RPS, {"player_1": opponent})
    both = joint(RPS, {"player_0": learner, "player_1": opponent})
    play = lambda key, env, player: evaluate(key, env, player, 8000, 1, greedy=False)
    inside = jax.jit(lambda key: play(key, world, learner))(jax.random.key(0))
    beside = jax.jit(lambda key: play(key, RPS, both))(jax.random.key(1))
    expected = np.array([0.6, 0.2, 0.2]) @ PAYOFF @ [0.2, 0.2, 0.6]
    np.testing.assert_allclose(inside.returns[:, 0].mean(), expected, atol=0.05)
    np.testing.assert_allclose(beside.returns[:, 0].mean(), expected, atol=0.05)


@pytest.mark.parametrize("own", ["red", "blue"])
def test_what_is_counted_of_teams_is_the_learners_teams(own):
    """The bare world tells kills [red's, blue's]; the learner's world, its own alone."""
    other = {"red": "blue", "blue": "red"}[own]
    env = with_opponents(BATTLE, {other: Player(random_policy(BATTLE), ())})
    state, timestep = episodic(env).reset(jax.random.key(0))
    kills = jnp.array([3, 1])
    bare = state.inner.inner.inner.replace(kills=kills)
    told = env.observe(state.inner.replace(inner=state.inner.inner.replace(inner=bare)))
    expected = {"red": ([3], [1]), "blue": ([1], [3])}[own]
    figures = told.extras["team_figures"]
    assert (figures["kills"].tolist(), figures["losses"].tolist()) == expected
    assert f"episode_kills_{own}" in episode_metrics(env, timestep)
