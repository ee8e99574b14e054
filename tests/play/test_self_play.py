"""Learners against fixed opponents and against copies of themselves, for any algorithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import MixedGroups
from rock_paper_scissors import PAYOFF, RPS, mixed, update_by_update

from jaxmarl_core.checks.algorithm import check_algorithm
from jaxmarl_core.envs import battle
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.play.opponents import with_opponents
from jaxmarl_core.play.policies import Player, random_policy
from jaxmarl_core.play.pool import EMPTY
from jaxmarl_core.play.rollout import begin
from jaxmarl_core.play.self_play import SelfPlay, copies, seats, self_play, train_against
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.train import Schedule, make_train

BATTLE = battle(map_size=12, num_red=3, num_blue=3, max_steps=6)
SMALL = {"num_envs": 4, "rollout_length": 4, "hidden": [8], "num_minibatches": 1}
TINY_BATTLE = {"num_envs": 2, "rollout_length": 4, "buffer_length": 8, "batch_size": 4}
ALGORITHMS = {
    "ippo": (RPS, "player_1", SMALL),
    "mappo": (RPS, "player_0", SMALL | {"memory_size": 4}),
    "q_learning": (RPS, "player_1", {"rollout_length": 8}),
    "iql": (RPS, "player_1", {"num_envs": 2, "rollout_length": 4}),
    "isac": (RPS, "player_1", {"num_envs": 2, "rollout_length": 4}),
    "mfq": (BATTLE, "blue", TINY_BATTLE),
}


def builder(name, **config):
    return lambda env: make_algorithm(name, env, **config)


def q_learner(rollout_length):
    return builder("q_learning", rollout_length=rollout_length)


def greedy_action(algorithm, params, env=RPS, group="player_0"):
    """The action the policy takes greedily at the start."""
    timestep = env.reset(jax.random.key(0))[1]
    memory = algorithm.policy.memory()
    return algorithm.policy.greedy(params, jax.random.key(0), timestep, memory)[0][group][0]


def run(algorithm, num_updates):
    train, _ = make_train(algorithm, RPS, Schedule(num_updates))
    return jax.jit(train)(jax.random.key(0), algorithm.hparams)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(plain(x), plain(y)), a, b)


# ---- against fixed opponents


@pytest.mark.slow
@pytest.mark.fast("strategy0-player_1-player_0")
@pytest.mark.parametrize("own,other", [("player_0", "player_1"), ("player_1", "player_0")])
@pytest.mark.parametrize("strategy", [(0.6, 0.2, 0.2), (0.2, 0.2, 0.6)])
def test_a_learner_finds_the_best_response_to_a_fixed_opponent(own, other, strategy):
    opponent = Player(mixed(other), jnp.log(jnp.array(strategy)))
    algorithm = train_against(q_learner(200), RPS, {other: opponent})
    keys = jax.random.split(jax.random.key(0), 4)
    train, _ = make_train(algorithm, RPS, Schedule(20))
    hparams = algorithm.hparams.replace(learning_rate=0.02, final_epsilon=1.0)
    states, _ = jax.jit(jax.vmap(train, (0, None)))(keys, hparams)
    worth = PAYOFF @ np.array(strategy)  # of each action; the game is symmetric
    for seed in range(4):
        params = jax.tree.map(lambda x, seed=seed: x[seed], states.params)
        assert greedy_action(algorithm, params, RPS, own) == worth.argmax()


@pytest.mark.slow
def test_its_policy_plays_all_groups_of_the_bare_world():
    opponent = Player(mixed("player_1"), jnp.log(jnp.eye(3)[2]))
    algorithm = train_against(builder("ippo", **SMALL), RPS, {"player_1": opponent})

    @jax.jit
    def act(key):
        state, timestep = algorithm.init(key, algorithm.hparams), RPS.reset(key)[1]
        return algorithm.policy.act(state.params, key, timestep, algorithm.policy.memory())

    actions, _ = act(jax.random.key(0))
    assert set(actions) == {"player_0", "player_1"}
    assert actions["player_1"] == 2


@pytest.mark.slow
def test_algorithms_see_their_own_groups_alone():
    opponent = Player(random_policy(MixedGroups()), ())
    algorithm = train_against(builder("ippo", **SMALL), MixedGroups(), {"aimer": opponent})
    assert check_algorithm(algorithm, MixedGroups()) == []


# ---- copies in others' places


def test_copies_play_each_team_by_the_learners_parameters():
    # three players who each own a team; players 1 and 2 copy player 0
    env = from_payoffs(np.arange(24.0).reshape(3, 2, 2, 2))
    assert seats(env, ["player_1", "player_2"]) == [
        {"player_0": "player_1"},
        {"player_0": "player_2"},
    ]
    policy = copies(mixed("player_0"), seats(env, ["player_1", "player_2"]))
    _, timestep = env.reset(jax.random.key(0))
    actions, _ = policy.greedy(jnp.eye(2)[1], jax.random.key(0), timestep, policy.memory())
    assert {name: int(x[0]) for name, x in actions.items()} == {"player_1": 1, "player_2": 1}


@pytest.mark.slow
def test_a_copy_sees_what_the_learner_would_in_its_place():
    def shown(params, key, timestep, memory):
        assert set(timestep.observation) == {"red"}
        return {"red": jax.tree.map(lambda x: x + params, timestep.observation["red"])}, memory

    policy = copies(random_policy(BATTLE)._replace(act=shown), seats(BATTLE, ["blue"]))
    _, timestep = jax.jit(BATTLE.reset)(jax.random.key(0))
    seen, _ = policy.act(0, jax.random.key(0), timestep, policy.memory())
    assert list(seen) == ["blue"]
    assert_same(seen["blue"], timestep.observation["blue"])


def test_who_is_of_another_kind_is_no_copy():
    with pytest.raises(ValueError, match="opponents: expected groups of the sizes and spaces"):
        self_play(builder("ippo"), MixedGroups(), ["aimer"])
    with pytest.raises(ValueError, match="did you mean 'player_1'"):
        self_play(builder("ippo"), RPS, ["player1"])


@pytest.mark.parametrize(
    "field,value", [("every", 0), ("size", True), ("power", -1.0), ("decay", 0.0), ("draw", "hrad")]
)
def test_options_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        SelfPlay(**{field: value})


# ---- self-play


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_any_algorithm_keeps_its_promises_in_self_play(name):
    env, other, config = ALGORITHMS[name]
    algorithm = self_play(builder(name, **config), env, [other], SelfPlay(every=2, size=2))
    assert check_algorithm(algorithm, env) == []
    alone = make_algorithm(name, with_opponents(env, {other: Player(random_policy(env), ())}),
                           **config)  # fmt: skip
    assert algorithm.env_steps == alone.env_steps


@pytest.mark.slow
def test_until_the_first_copy_it_learns_as_against_what_it_began_with():
    options = SelfPlay(every=100, size=1, greedy=True)
    build = builder("ippo", **SMALL)
    learner = self_play(build, RPS, ["player_1"], options)
    key_init, _ = jax.random.split(jax.random.key(0))
    first = learner.init(key_init, learner.hparams).params
    policy = copies(build(with_opponents(RPS, {"player_1": Player(random_policy(RPS), ())})).policy,
                    seats(RPS, ["player_1"]))  # fmt: skip
    against = train_against(build, RPS, {"player_1": Player(policy, first)}, greedy=True)
    ours, metrics = run(learner, 3)
    theirs, expected = run(against, 3)
    # two programs: they may round differently
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), ours.params,
                 theirs.params)  # fmt: skip
    np.testing.assert_array_equal(metrics["episode_count"], expected["episode_count"])


@pytest.fixture(scope="module")
def played():
    """(algorithm, its states before and after each of 7 updates, the metrics of each)."""
    options = SelfPlay(every=2, size=3, draw="hard", decay=1.0)
    algorithm = self_play(builder("ippo", **SMALL), RPS, ["player_1"], options)
    return algorithm, *update_by_update(algorithm, 7)


@pytest.mark.slow
def test_copies_are_what_the_learner_was(played):
    _, states, told = played
    # the first, and those after updates 2, 4 and 6: that one replaces the first
    pool = states[-1].pool
    assert pool.entries.tolist() == [3, 1, 2]
    for slot, number in enumerate([6, 2, 4]):
        copy = jax.tree.map(lambda x, slot=slot: x[slot], pool.params)
        assert_same(copy, states[number].params)
    assert states[3].pool.entries.tolist() == [0, 1, EMPTY]
    assert [float(metrics["pool_size"]) for metrics in told] == [1, 1, 2, 2, 3, 3, 3]
    assert not any(name.startswith("opponent_") for name in told[0])


def test_every_episode_is_counted_against_whom_it_was_played(played):
    _, states, told = played
    count = [float(metrics["episode_count"]) for metrics in told]
    games = [state.pool.games for state in states]
    np.testing.assert_allclose([x.sum() for x in games[1:6]], np.cumsum(count[:5]))
    first = told[0]  # one opponent: the score is the wins and half the draws, return is the rest
    expected = (1 + first["episode_return_player_0"]) / 2
    np.testing.assert_allclose(first["pool_win_rate"], expected, atol=1e-6)
    assert (np.diff(games[:6], axis=0) >= 0).all()


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(played, tmp_path):
    algorithm, states, _ = played
    leaves, structure = jax.tree.flatten(states[3])
    is_key = [jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
    assert not any(is_key)  # plain numbers
    np.savez(tmp_path / "state.npz", *leaves)
    with np.load(tmp_path / "state.npz") as saved:
        state = jax.tree.unflatten(structure, [jnp.asarray(x) for x in saved.values()])
    update = jax.jit(algorithm.update)
    for i in range(3, 7):
        key = jax.random.fold_in(jax.random.key(1), i)
        state, _ = update(key, state, algorithm.hparams, jnp.int32(i))
    assert_same(state, states[-1])


def test_its_policy_plays_both_sides(played):
    algorithm, states, _ = played
    play = begin(jax.random.key(0), RPS, algorithm.policy.memory())
    actions, _ = algorithm.policy.greedy(
        states[-1].params, jax.random.key(0), play.timestep, play.memory
    )
    assert set(actions) == {"player_0", "player_1"}
    assert actions["player_0"] == actions["player_1"]  # each sees 0, and takes the same mode


def test_win_rates_are_needed_by_those_who_draw_by_them():
    def silent(env):
        algorithm = make_algorithm("ippo", env, **SMALL)
        update = lambda *args: (algorithm.update(*args)[0], {"loss": jnp.float32(0)})
        return algorithm._replace(update=update)

    def trace(draw):
        algorithm = self_play(silent, RPS, ["player_1"], SelfPlay(draw=draw))
        state = jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams)
        rest = jax.random.key(0), state, algorithm.hparams, jnp.int32(0)
        return jax.eval_shape(algorithm.update, *rest)

    trace("uniform")
    with pytest.raises(ValueError, match="draw: expected one without win rates"):
        trace("hard")


def copies_in_order(states, algorithm, seed):
    """What each copy takes greedily, oldest first [K] int."""
    pool = jax.tree.map(lambda x: x[seed], states.pool)
    taken = jax.jit(jax.vmap(lambda params: greedy_action(algorithm, params)))(pool.params)
    return np.asarray(taken)[np.argsort(pool.entries)]


def fictitious(draw, num_updates, num_games):
    """Four runs of rock-paper-scissors by Q-learners against pure copies, one after each update."""
    options = SelfPlay(every=1, size=num_updates, draw=draw, greedy=True)
    algorithm = self_play(q_learner(2 * num_games), RPS, ["player_1"], options)
    train, _ = make_train(algorithm, RPS, Schedule(num_updates))
    hparams = algorithm.hparams.replace(learning_rate=0.03, final_epsilon=1.0)
    keys = jax.random.split(jax.random.key(0), 4)
    states, _ = jax.jit(jax.vmap(train, (0, None)))(keys, hparams)
    return [copies_in_order(states, algorithm, seed) for seed in range(4)]


@pytest.mark.slow
def test_against_the_latest_copy_alone_play_cycles():
    """Each copy is the best response to the one before: rock, paper, scissors, rock, ..."""
    for taken in fictitious("latest", 30, 250):
        np.testing.assert_array_equal(np.diff(taken[1:]) % 3, 1)


@pytest.mark.slow
def test_against_all_past_copies_the_average_comes_near_the_equilibrium():
    """Fictitious self-play: the mean of the copies' strategies, in each of four seeds."""
    for taken in fictitious("uniform", 300, 250):
        average = np.bincount(taken, minlength=3) / len(taken)
        nash_conv = 2 * (PAYOFF @ average).max()  # a symmetric game of value 0
        assert nash_conv < 0.35  # of one copy alone: 2
