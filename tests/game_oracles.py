"""Independent truth for games: recorded solutions, and stage games solved by linear programs."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

FOLDER = Path(os.environ.get("GAME_ORACLES", Path(__file__).parent / "reference" / "games"))


@cache
def oracle(name):
    """The arrays or the JSON of a file in tests/reference/games."""
    path = FOLDER / name
    if path.suffix == ".npz":
        with np.load(path) as file:
            return dict(file)
    return json.loads(path.read_text())


def minimax(payoff):
    """(value, strategy) of the row player, who maximises payoff [A, B]: a saddle point or an LP."""
    payoff = np.asarray(payoff, np.float64)
    best = payoff.min(axis=1).argmax()
    if payoff[best].min() >= payoff.max(axis=0).min() - 1e-12:
        return payoff[best].min(), np.eye(len(payoff))[best]
    rows, columns = payoff.shape
    solved = linprog(  # maximise v with v <= x' payoff e_b for every column b
        np.append(np.zeros(rows), -1),
        A_ub=np.hstack([-payoff.T, np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
        method="highs",
    )
    assert solved.status == 0
    return solved.x[-1], solved.x[:-1]


def solve_zero_sum(transition, reward, gamma):
    """Values [S] of a zero-sum game by Hoffman & Karp's policy iteration, checked by its residual.

    Args:
      transition: [S, A, B, S]; reward: [S, A, B] to the row player. A terminal state is left out:
        its column is missing, so that rows may sum to less than 1.
    """
    num_states = len(transition)
    flat = csr_array(transition.reshape(-1, num_states))
    value = np.zeros(num_states)
    for _ in range(100):
        stage = reward + gamma * (flat @ value).reshape(reward.shape)
        solved = [minimax(matrix) for matrix in stage]
        residual = max(abs(v - w) for (v, _), w in zip(solved, value))
        if residual < 1e-9:  # as exact as the linear programs are
            return value
        policy = np.array([x for _, x in solved])
        # what is left is a decision problem of the column player alone, solved by sweeps
        kernel = csr_array(np.einsum("sa,sabt->sbt", policy, transition).reshape(-1, num_states))
        cost = np.einsum("sa,sab->sb", policy, reward)
        for _ in range(300):
            value = (cost + gamma * (kernel @ value).reshape(cost.shape)).min(axis=1)
    raise AssertionError(f"no convergence, residual {residual}")
