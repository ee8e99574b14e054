"""Small sweeps with a search."""

from small_sweeps import GAME

from jaxmarl_core.sweeps.spec import from_dict

RATES = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]


def halving(**changes):
    """Six rates, two seeds; of two brackets the second begins a rung later."""
    search = {"kind": "halving", "min_updates": 2, "eta": 2, "brackets": 2}
    asked = {"updates": 8, "segment": 2, "grid": {"hparams": {"learning_rate": RATES}}}
    return from_dict(GAME | {"evaluation": {}, "search": search} | asked | changes)


def population(**changes):
    """Five members that draw their rate, two seeds."""
    search = {"kind": "population", "every": 4}
    asked = {"updates": 16, "segment": 2, "grid": {}}
    drawn = {"num": 5, "learning_rate": [0.01, 0.9]}
    return from_dict(GAME | {"evaluation": {}, "search": search, "random": drawn} | asked | changes)
