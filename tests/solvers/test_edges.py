"""Slopes of measures and of differential games at their edges; shapes that would broadcast."""

import inspect

import edges
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from edges import Edge

from jaxmarl_core.solvers import extensive_form, markov_games, normal_form
from jaxmarl_core.solvers.differential import hji, riccati
from jaxmarl_core.solvers.extensive_form import best_response as best_reply
from jaxmarl_core.solvers.extensive_form import cfr, expected_value, kuhn_poker, uniform
from jaxmarl_core.solvers.extensive_form import exploitability as poker_exploitability
from jaxmarl_core.solvers.extensive_form import nash_conv as poker_nash_conv
from jaxmarl_core.solvers.normal_form import measures, responses

INF = np.inf
RPS = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
GAME = np.stack([RPS, -RPS])
PURE, MIXED = [0, 1, 0], [0.2, 0.3, 0.5]
NO_SCISSORS = (np.array([True, True, False]), None)
FORBIDDEN = np.array([[[0.0, -1, 1], [1, 0, -1], [-INF, -INF, -INF]], -RPS])
JOINT = np.outer([0.5, 0.5, 0], [0.2, 0.8, 0])
COSTLY = np.stack([np.where(JOINT > 0, RPS, -INF), -RPS])


def measure(name, **options):
    function = getattr(measures, name)
    return lambda payoffs, x, y: function(payoffs, (x, y), **options)


def linear_quadratic(solve, A=((-1.0, 0.5), (0, -0.3)), **options):
    """P as a function of the disturbance's price, of a small stable system."""
    A, B = jnp.array(A), jnp.array([[0.0], [1.0]])
    D, eye = jnp.array([[1.0], [0.2]]), jnp.eye(2)
    return lambda gamma: solve(A, B, eye, jnp.eye(1), D, gamma, **options)[:4]


def hji_residual(gamma, weights):
    return hji.residual(hji_game(gamma), hji.monomials(1, (2,)), weights, jnp.ones(1))


def hji_game(gamma):
    return hji.Game(
        lambda x: -x, lambda x: x[:, None], lambda x: jnp.ones((1, 1)), jnp.sum, jnp.eye(1), gamma
    )


def hji_fit(gamma, weights):
    points = jnp.linspace(-1, 1, 5)[:, None]
    found = hji.policy_iteration(
        hji_game(gamma)._replace(cost=lambda x: jnp.sum(x**2)), hji.monomials(1, (2,)), points,
        weights, num_iterations=2,
    )  # fmt: skip
    return found.weights


def coupled(Q):
    A, B = jnp.diag(jnp.array([-1.0, -2.0])), (jnp.ones((2, 1)), jnp.eye(2)[:, :1])
    found = riccati.coupled(A, B, [Q, jnp.eye(2)], [jnp.eye(1)] * 2, num_iterations=30)
    return found.P, found.controls


def kuhn_by_cfr(payoff):
    """Average strategies after a few rounds: what was unrolled has a slope."""
    return cfr(kuhn_poker().replace(payoff=payoff), 3).strategies


def kuhn(measure, player=None):
    """Of player 0's strategy: kings always raised, else as the uniform one."""

    def function(first):
        game = kuhn_poker()
        second = jnp.asarray(uniform(game)[1], first.dtype)
        game = game.replace(payoff=game.payoff.astype(first.dtype))
        args = (game, (first, second))
        return measure(*args) if player is None else measure(*args, player)[0]

    return function


def first_strategy():
    first = np.array(uniform(kuhn_poker())[0], np.float64)
    first[0, :, 2] = [0, 0, 1]
    return first


def some_payoff():
    """Kuhn's, a little off, so that no regret is 0."""
    payoff = np.asarray(kuhn_poker().payoff, np.float64)
    return payoff + 0.1 * np.random.default_rng(0).normal(size=payoff.shape)


SLOPES = [
    Edge("deviation_gain", measure("deviation_gain"), (GAME, PURE, MIXED)),
    Edge("nash_conv", measure("nash_conv"), (GAME, PURE, MIXED)),
    Edge("exploitability", measure("exploitability"), (GAME, PURE, MIXED)),
    Edge(
        "deviation_gain: masks",
        lambda u, x, y: measures.deviation_gain(u, (jnp.append(x, 0), y), NO_SCISSORS),
        (GAME, [0, 1], MIXED),
    ),
    Edge(
        "nash_conv: forbidden",
        lambda u, x, y: measures.nash_conv(u, (jnp.append(x, 0), y)),
        (FORBIDDEN, [0.1, 0.9], MIXED),
    ),
    Edge("expected_payoffs", measures.expected_payoffs, (GAME, JOINT)),
    Edge(
        "expected_payoffs: infinite where it cannot be",
        lambda u: measures.expected_payoffs(u, JOINT),
        (COSTLY,),
    ),
    Edge("social_welfare", lambda u: measures.social_welfare(u, JOINT), (COSTLY,)),
    Edge("joint_play", lambda x, y: measures.joint_play((x, y)), (PURE, MIXED)),
    Edge("regret", measures.regret, (GAME, JOINT)),
    Edge(
        "correlated_gap",
        lambda u, joint: measures.correlated_gap(u, joint, coarse=True),
        (GAME, JOINT),
    ),
    Edge(
        "best_response",
        lambda u, y: responses.best_response(u, (jnp.zeros(3), y), 0)[1:],
        (GAME, MIXED),
    ),
    Edge(
        "backup",
        lambda value, gamma: markov_games.backup(coin_game(), value, gamma),
        ([[1, 2], [3, 4]], 1),
    ),
    Edge("hamiltonian", linear_quadratic(riccati.hamiltonian), (5,), second=False),
    Edge(
        "hamiltonian: nobody disturbs",
        linear_quadratic(riccati.hamiltonian),
        (INF,),
        second=False,
    ),
    Edge("newton_kleinman", linear_quadratic(riccati.newton_kleinman), (INF,), second=False),
    Edge(
        "discrete",
        linear_quadratic(riccati.discrete, ((0.9, 0.1), (0, 0.7)), num_iterations=50),
        (9,),
        second=False,
    ),
    Edge("lyapunov", riccati.lyapunov, ([[-1, 0.5], [0, -1]], [[1, 0], [0, 1]]), second=False),
    Edge("coupled", coupled, ([[1, 0], [0, 0]],), second=False),
    Edge("residual", hji_residual, (INF, [0.5])),
    Edge("residual: a price", hji_residual, (2, [0.5])),
    Edge(
        "feedbacks",
        lambda gamma, w: hji.feedbacks(hji_game(gamma), hji.monomials(1, (2,)), w, jnp.zeros(1)),
        (INF, [0.5]),
    ),
    Edge("monomials", lambda x: hji.monomials(2, (1, 2, 3))(x), ([0, 1],)),
    Edge("policy_iteration", hji_fit, (INF, [0.5]), second=False),
    Edge(
        "expected_reward",
        lambda p: markov_games.expected_reward(coin_game()._replace(probability=p)),
        (np.array([[0.5, 0.5], [1, 0]]).reshape(2, 1, 1, 2),),
    ),
    Edge(
        "transition_tensor",
        lambda p: markov_games.transition_tensor(coin_game()._replace(probability=p)),
        (np.array([[0.5, 0.5], [1, 0]]).reshape(2, 1, 1, 2),),
    ),
    Edge("exploitability of poker", kuhn(poker_exploitability), (first_strategy(),), second=False),
    Edge("cfr of poker", kuhn_by_cfr, (some_payoff(),), second=False),
    Edge("expected_value", kuhn(expected_value), (first_strategy(),)),
    Edge("nash_conv of poker", kuhn(poker_nash_conv), (first_strategy(),), second=False),
    Edge("best_response of poker", kuhn(best_reply, 1), (first_strategy(),), second=False),
]


def coin_game():
    """Two states, one action each, a coin; two players."""
    shape = (2, 1, 1, 2)
    return markov_games.MarkovGame(
        successor=jnp.array([[0, 1], [1, 1]]).reshape(shape),
        probability=jnp.array([[0.5, 0.5], [1.0, 0.0]]).reshape(shape),
        reward=jnp.ones((2, *shape)),
        terminal=jnp.array([False, False]),
        legal=(jnp.ones((2, 1), bool),) * 2,
        start=jnp.array([1.0, 0.0]),
    )


SLOW = ("cfr of poker", "coupled", "policy_iteration")  # to compile


@pytest.mark.parametrize(
    "edge",
    [pytest.param(edge, marks=pytest.mark.slow if edge.name in SLOW else ()) for edge in SLOPES],
    ids=lambda edge: edge.name,
)
def test_slopes(edge):
    edges.check(edge)


SAY_SO = {  # that they have no derivative, or of what: test_gradients.py
    *("bimatrix_nash", "correlated", "friend_or_foe", "lemke_howson", "nash", "nash_n"),
    *("pure_commitment", "stackelberg", "zero_sum", "lemke_howson_equilibria"),
}
WITHOUT_SLOPE = {  # what makes or checks a game, or answers with actions, yes and no
    *("empirical_play", "pure_equilibria", "undominated", "selection"),
    *("from_tree", "require_game", "require_strategies", "uniform"),
    *("poker", "kuhn_poker", "leduc_poker", "grid", "markov_game", "require_common"),
}


@pytest.mark.parametrize("room", [normal_form, extensive_form, riccati, hji, markov_games])
def test_every_function_has_its_row(room):
    rows = {edge.name.split(":")[0].removesuffix(" of poker") for edge in SLOPES}
    names = getattr(room, "__all__", None) or [
        name
        for name, value in vars(room).items()
        if getattr(value, "__module__", None) == room.__name__ and not name.startswith("_")
    ]
    functions = {
        name for name in names
        if callable(getattr(room, name)) and not inspect.isclass(getattr(room, name))
    }  # fmt: skip
    missing = {f for f in functions if f[0].islower()} - rows - SAY_SO - WITHOUT_SLOPE
    assert missing == set()


@pytest.mark.parametrize("name", sorted(SAY_SO))
def test_what_has_no_slope_says_so_to_who_reads(name):
    told = " ".join(inspect.getdoc(getattr(normal_form, name)).split())
    assert "derivative" in told


def test_the_slope_of_a_gain_where_probabilities_are_zero():
    """max_a u(a) - x' u, u = RPS y = [.2, -.3, .1]: its slope in x is -u."""
    gain = lambda x: measures.deviation_gain(GAME, (x, jnp.array(MIXED)))[0]
    np.testing.assert_allclose(jax.grad(gain)(jnp.array([0.0, 1, 0])), [-0.2, 0.3, -0.1], atol=1e-6)


def test_an_equilibriums_gain_has_a_slope():
    """Both are content with their first action, whose second would lose 1 and 2: from there on."""
    payoffs = np.array([[[1, 2], [0, 0]], [[3, 1], [4, 0]]])
    gains = lambda p: measures.deviation_gain(payoffs, [jnp.array([1 - p, p]), jnp.array([1, 0])])
    np.testing.assert_allclose(gains(0.0), [0, 0])
    found = jax.jacfwd(gains)(0.0)
    ahead = (np.asarray(gains(0.1), np.float64) - 0) / 0.1
    np.testing.assert_allclose(found[0], ahead[0], atol=1e-5)
    np.testing.assert_allclose(found[0], 1, atol=1e-6)


def test_what_cannot_happen_costs_nothing():
    joint, costly = JOINT.astype(np.float32), COSTLY.astype(np.float32)
    found = measures.expected_payoffs(costly, joint)
    np.testing.assert_allclose(found, [(JOINT * RPS).sum(), -(JOINT * RPS).sum()], atol=1e-6)
    gains = measures.deviation_gain(FORBIDDEN, ([0.5, 0.5, 0], [0.5, 0.5, 0]))
    # scissors are forbidden: paper against both, (1 + 0) / 2, for half of -1/2 and of 1/2; and
    # against rock and paper, paper and scissors win 1 and lose or tie: 1/2 - 0 and 0
    np.testing.assert_allclose(gains, [0.5, 0.5], atol=1e-6)
    assert measures.deviation_gain(FORBIDDEN, ([0.5, 0, 0.5], MIXED))[0] == INF
    assert np.isfinite(measures.regret(costly, joint, "external")[1])


def matrices(**changed):
    given = {"A": np.eye(2), "B": np.ones((2, 1)), "Q": np.eye(2), "R": np.eye(1)}
    return given | {"D": np.ones((2, 1)), "gamma": 3.0} | changed


WRONG = {
    f"{solve.__name__}: {name}": (
        lambda solve=solve, x=x, n=name: solve(**matrices(**{n: x})),
        name,
    )
    for solve in (riccati.hamiltonian, riccati.newton_kleinman, riccati.discrete)
    for name, x in {
        "A": np.ones((2, 3)),
        "B": np.ones(2),
        "Q": np.ones(2),
        "R": np.ones(1),
        "D": np.ones((3, 1)),
    }.items()
} | {
    "coupled": (
        lambda: riccati.coupled(np.eye(2), [np.ones((2, 1))], [np.ones(2)], [np.eye(1)]),
        "Q",
    ),
    "initial": (lambda: riccati.newton_kleinman(**matrices(initial=np.ones(2))), "initial"),
    "lyapunov": (lambda: riccati.lyapunov(np.eye(2), np.ones(2)), "Q"),
    "backup": (lambda: markov_games.backup(coin_game(), jnp.ones(2), 0.9), "value"),
    "backup: gamma": (lambda: markov_games.backup(coin_game(), jnp.ones((2, 2)), [0.9]), "gamma"),
    "joint_play": (lambda: measures.joint_play([jnp.ones((3, 2)), jnp.ones(2)]), "strategies.1."),
    "expected_payoffs": (lambda: measures.expected_payoffs(GAME, np.ones(3)), "joint"),
    "deviation_gain": (
        lambda: measures.deviation_gain(GAME, (np.ones(2), np.ones(3))),
        "strategies",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named(name):
    call, words = WRONG[name]
    with pytest.raises(ValueError, match=f"^{words}: expected"):
        jax.eval_shape(call)
