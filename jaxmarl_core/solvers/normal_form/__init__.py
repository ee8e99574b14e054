"""Games in normal form: equilibria, commitments and measures, under `jit` and `vmap`.

Payoffs are arrays: [A, B] to the row player of a zero-sum game, [2, A, B] of a bimatrix game,
[N, A_1, ..., A_N] of any number of players. Masks say which actions are legal; an action that costs
minus infinity, or the lowest number, is as good as masked. Solvers compute in the payoffs'
precision, at least f32.

Whether a game was solved is in `converged`, `solved` or `valid`: nobody could then gain 1e-5 of the
range of its payoffs, strictly dominated actions left aside, by payoffs as given. What fails in
single precision is solved once more in double, whatever `jax_enable_x64` says; what fails again is
flagged unsolved, and for payoffs that are NaN so are strategies. A zero-sum game's value has
a derivative (reverse mode); to ask another answer for one is an error.

What one game costs, and where the limits are:

- `zero_sum`, `friend_or_foe`: the simplex method, 4 (A + B) + 10 pivots at most, each over A B
  entries. In f32 tested to 100 x 100.
- `correlated`, coarse or not: the simplex method on the dual, pivots over (joint actions) x
  (deviations), A_1^2 + ... + A_N^2 of them or, coarse, A_1 + ... + A_N.
- `bimatrix_nash`, all extreme equilibria: one small linear system for every equally large choice of
  actions of both, binom(A + B, A) together and at most 1000: 6 x 6.
- `lemke_howson`, one equilibrium; `lemke_howson_equilibria`, one for each label: pivots over 2
  (A + B)^2 entries, 50 (A + B) at most. Tested to 25 x 25.
- `nash`: one equilibrium of either of these, taken by a rule of `selection`.
- `nash_n`, one equilibrium of N players: 200 steps along a path at most, each solving dense systems
  of A_1 + ... + A_N + N unknowns. Tested to 3 x 3 x 3 and 2 x 2 x 2 x 2.
- `stackelberg`: a linear program for each reply, pivots over (A + 1) x (B + 1) entries.
  `pure_commitment`: comparisons.
- `pure_equilibria`, `best_response`: comparisons over the joint actions.
- `undominated`: in every round comparisons, or a zero-sum game for every action.
- `nash_conv`, `exploitability`, `deviation_gain` of independent strategies; `regret`,
  `correlated_gap`, `expected_payoffs`, `social_welfare` of joint play, which `joint_play` and
  `empirical_play` make: sums over the joint actions.

Four functions have the name of their module: `zero_sum`, `correlated`, `lemke_howson` and
`stackelberg`. As attributes of this package these are the functions; what else is in the modules
is imported by path, `from jaxmarl_core.solvers.normal_form.zero_sum import ZeroSumSolution`.
"""

from jaxmarl_core.solvers.normal_form import selection
from jaxmarl_core.solvers.normal_form.bimatrix import bimatrix_nash, nash
from jaxmarl_core.solvers.normal_form.correlated import correlated
from jaxmarl_core.solvers.normal_form.lemke_howson import lemke_howson, lemke_howson_equilibria
from jaxmarl_core.solvers.normal_form.measures import (
    correlated_gap,
    deviation_gain,
    empirical_play,
    expected_payoffs,
    exploitability,
    joint_play,
    nash_conv,
    regret,
    social_welfare,
)
from jaxmarl_core.solvers.normal_form.n_player import nash_n
from jaxmarl_core.solvers.normal_form.responses import best_response, pure_equilibria, undominated
from jaxmarl_core.solvers.normal_form.stackelberg import pure_commitment, stackelberg
from jaxmarl_core.solvers.normal_form.zero_sum import friend_or_foe, zero_sum

__all__ = [
    "best_response",
    "bimatrix_nash",
    "correlated",
    "correlated_gap",
    "deviation_gain",
    "empirical_play",
    "expected_payoffs",
    "exploitability",
    "friend_or_foe",
    "joint_play",
    "lemke_howson",
    "lemke_howson_equilibria",
    "nash",
    "nash_conv",
    "nash_n",
    "pure_commitment",
    "pure_equilibria",
    "regret",
    "selection",
    "social_welfare",
    "stackelberg",
    "undominated",
    "zero_sum",
]
