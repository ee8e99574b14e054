"""Solvers of games whose rules are known."""
