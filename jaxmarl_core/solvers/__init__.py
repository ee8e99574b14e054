"""Solvers of games whose rules are known; pure functions of arrays, exact or converging to it.

`normal_form`: equilibria of matrix games. `extensive_form`: card games by counterfactual regret
minimisation. `differential`: linear-quadratic games by Riccati equations, others by the HJI
equation. `markov_games`: stochastic games as tables, `markov_responses`: best responses in them.
`rankings`: of players, by the games between them. `population`: double oracle, PSRO.
"""
