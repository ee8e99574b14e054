"""Who meets whom in a league, against weights worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.play.matchmaking import League, Standing, is_ready, match_weights, until_last_rise

# learners 0 main, 1 main exploiter, 2 league exploiter; past players: copies of 0, 1, 0, and an
# empty place
OPTIONS = League(size=4)
THERE, OWNER = jnp.array([True, True, True, False]), jnp.array([0, 1, 0, 0])
AGE = jnp.array([0, 1, 2, -1])


def standing(past, now=None):
    return Standing(
        jnp.asarray(past, jnp.float32),
        jnp.asarray(np.full((3, 3), 0.5) if now is None else now, jnp.float32),
        THERE,
        OWNER,
        AGE,
    )


EVEN = np.full((3, 4), 0.5)


def test_roles_are_in_order():
    assert League(main_agents=2, league_exploiters=2, size=2).roles.tolist() == [0, 0, 1, 2, 2]


def test_a_main_agent_plays_itself_the_past_and_whom_it_does_not_beat():
    past = EVEN.copy()
    past[0] = [0.25, 0.5, 0.75, 0.5]
    row = match_weights(OPTIONS, standing(past))[0]
    # (1 - x)^2: 9/16, 4/16, 1/16 of all; forgotten is its first copy, as the next is easier: 9, 1
    expected = 0.5 * np.array([9, 4, 1, 0]) / 14 + 0.15 * np.array([9, 0, 1, 0]) / 10
    np.testing.assert_allclose(row, [*expected, 0.35, 0, 0], atol=1e-6)


def test_that_newer_copies_are_harder_is_no_forgetting():
    past = EVEN.copy()
    past[0] = [0.75, 0.5, 0.25, 0.5]
    row = match_weights(OPTIONS, standing(past))[0]
    np.testing.assert_allclose(row, [*0.5 * np.array([1, 4, 9, 0]) / 14, 0.5, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    "rates, kept",
    [
        ([0.9, 0.8, 0.5], [False, False, False]),
        ([0.2, 0.6, 0.6], [True, True, False]),
        ([0.2, 0.1, 0.6], [True, True, True]),
        ([0.5], [False]),
    ],
)
def test_the_newest_run_of_harder_ones_is_left_out(rates, kept):
    everybody, age = jnp.ones(len(rates), bool), jnp.arange(len(rates))
    assert until_last_rise(jnp.array(rates), everybody, age).tolist() == kept
    # whatever places they have, and whoever else is there
    place = np.random.default_rng(0).permutation(len(rates))
    rates, age = (
        jnp.array([*np.array(rates)[place], 0.0]),
        jnp.array([*np.arange(len(kept))[place], 9]),
    )
    among = jnp.array([True] * len(kept) + [False])
    assert until_last_rise(rates, among, age).tolist() == [*np.array(kept)[place], False]


def test_of_two_main_agents_each_is_looked_at_by_itself():
    """Nothing was forgotten of 0's copies: it plays 0 as it is; of 1's it meets both, 16 to 4."""
    options = League(main_agents=2, main_exploiters=0, league_exploiters=0, size=4,
                     self_play=0.0, verify=1.0)  # fmt: skip
    past, now = jnp.array([[0.9, 0.9, 0.2, 0.6]] * 2), jnp.full((2, 2), 0.5)
    told = Standing(past, now, jnp.ones(4, bool), jnp.array([0, 0, 1, 1]), jnp.arange(4))
    row = match_weights(options, told)[0]
    np.testing.assert_allclose(row, [0, 0, 0.4, 0.1, 0.5, 0], atol=1e-6)


def test_a_main_agent_whom_an_exploiter_beats_plays_exploiters():
    past = EVEN.copy()
    past[0] = [0.75, 0.25, 0.75, 0.5]
    row = match_weights(OPTIONS, standing(past))[0]
    expected = 0.5 * np.array([1, 9, 1, 0]) / 11 + 0.15 * np.array([0, 1, 0, 0])
    np.testing.assert_allclose(row, [*expected, 0.35, 0, 0], atol=1e-6)


def test_a_main_agent_that_beats_all_plays_itself_instead():
    past = EVEN.copy()
    past[0] = [0.75, 0.75, 0.75, 0.5]
    row = match_weights(OPTIONS, standing(past))[0]
    np.testing.assert_allclose(row, [1 / 6, 1 / 6, 1 / 6, 0, 0.5, 0, 0], atol=1e-6)


def test_two_main_agents_play_each_other_and_the_past_of_one_that_is_too_strong():
    options = League(main_agents=2, main_exploiters=0, league_exploiters=0, size=3,
                     self_play=1.0, verify=0.0)  # fmt: skip
    past = jnp.array([[0.5, 0.75, 0.5], [0.5, 0.5, 0.5]])
    there, owner = jnp.array([True, True, True]), jnp.array([0, 1, 1])
    now = jnp.array([[0.5, 0.6], [0.2, 0.5]])
    rows = match_weights(options, Standing(past, now, there, owner, jnp.arange(3)))
    np.testing.assert_allclose(rows[0], [0, 0, 0, 0.5, 0.5], atol=1e-6)
    # against 0 it wins too rarely: 0's past, which is copy 0
    np.testing.assert_allclose(rows[1], [0.5, 0, 0, 0, 0.5], atol=1e-6)


def test_a_main_exploiter_plays_the_main_agent_or_its_past_by_x_times_1_minus_x():
    row = match_weights(OPTIONS, standing(EVEN))[1]
    np.testing.assert_allclose(row, [0, 0, 0, 0, 1, 0, 0], atol=1e-6)
    past, now = EVEN.copy(), np.full((3, 3), 0.5)
    past[1], now[1, 0] = [0.5, 0.5, 0.25, 0.5], 0.05
    row = match_weights(OPTIONS, standing(past, now))[1]
    # 1/4 and 3/16 of the main agent's copies, places 0 and 2
    np.testing.assert_allclose(row, [4 / 7, 0, 3 / 7, 0, 0, 0, 0], atol=1e-6)


def test_a_league_exploiter_plays_all_of_the_past_whom_it_does_not_beat_alike():
    past = EVEN.copy()
    past[2] = [0.75, 0.1, 0.4, 0.5]
    row = match_weights(OPTIONS, standing(past))[2]
    # min(1/2, 1 - x): 1/4, 1/2, 1/2
    np.testing.assert_allclose(row, [0.2, 0.4, 0.4, 0, 0, 0, 0], atol=1e-6)


def test_where_all_is_won_all_are_met():
    row = match_weights(OPTIONS, standing(np.ones((3, 4))))[2]
    np.testing.assert_allclose(row, [1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_distributions_over_who_is_there(seed):
    rng = np.random.default_rng(seed)
    found = match_weights(OPTIONS, standing(rng.uniform(size=(3, 4)), rng.uniform(size=(3, 3))))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found >= 0).all() and (found[:, 3] == 0).all()
    assert (found[:, 5:] == 0).all()  # nobody trains against exploiters as they are


def test_who_is_ready_beats_those_it_should():
    past = np.array([[0.8, 0.8, 0.8, 0.1], [0.1, 0.1, 0.1, 0.1], [0.8, 0.6, 0.8, 0.1]])
    now = np.full((3, 3), 0.5)
    looks = jnp.array([1, 1, 1])
    assert is_ready(OPTIONS, standing(past, now), looks).tolist() == [True, False, False]
    now[1, 0] = 0.8  # the main exploiter beats the main agent; the past does not matter
    assert is_ready(OPTIONS, standing(past, now), looks).tolist() == [True, True, False]
    # who has waited for long enough is ready in any case
    late = jnp.array([0, 0, OPTIONS.patience])
    assert is_ready(OPTIONS, standing(EVEN), late).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "field,value",
    [("main_agents", 0), ("size", 0), ("every", 1.5), ("beaten", 2.0), ("verify", 0.9),
     ("decay", 0.0), ("league_exploiters", -1), ("power", -1.0)],
)  # fmt: skip
def test_options_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        League(**{field: value})
