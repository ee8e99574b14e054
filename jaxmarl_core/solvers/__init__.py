"""Solvers of games whose rules are known; pure functions of arrays, exact or converging to it.

`extensive_form`: card games by counterfactual regret minimisation. `riccati`: linear-quadratic
differential games. `hji`: nonlinear ones.
"""
