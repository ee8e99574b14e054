"""Tiny cases of every registered environment, and of the probe worlds: FITTING and PROBES.

A new entry of ENVIRONMENTS needs a line or two in `FITTING`, here. What every environment promises
(test_contract_environments.py) and what other libraries expect of it once it is handed to them
(envs/interop) is then tested by itself.
"""

from typing import Any

import pytest
from probes import ConstantReward, DyingAgents, MixedGroups, OneBitMemory

from jaxmarl_core.envs import (
    ENVIRONMENTS,
    adversarial_pursuit,
    battle,
    battlefield,
    collect_treasure,
    combined_arms,
    field_coverage,
    gather,
    gaussian_squeeze,
    grid_game,
    guarding_territory,
    gymnax,
    ising,
    jaxmarl,
    linear_quadratic_game,
    linear_quadratic_players,
    matrix_game,
    multi_agent_brax,
    nonlinear_control,
    nonlinear_zero_sum,
    predator_prey,
    rendezvous,
    rover_tower,
    simple,
    simple_adversary,
    simple_crypto,
    simple_formation,
    simple_line,
    simple_push,
    simple_reference,
    simple_speaker_listener,
    simple_spread,
    simple_tag,
    simple_world_comm,
    smax,
    soccer,
    soccer_4x2,
    tiger_deer,
    torus_coordination,
    two_step_game,
)

# environment -> name of the case -> (builder, whether its episodes under random play truly end)
FITTING = {
    "adversarial_pursuit": {
        "open": (lambda: adversarial_pursuit(map_size=10, num_walls=0, max_steps=3), False),
        "minimap": (lambda: adversarial_pursuit(map_size=13, minimap=True, max_steps=3), False),
    },
    "battle": {
        "time is up": (lambda: battle(map_size=12, num_red=4, num_blue=3, max_steps=4), False),
        "wiped out": (
            lambda: battle("magent2", map_size=5, num_red=1, num_blue=2, damage=100.0),
            True,
        ),
    },
    "battlefield": {"time is up": (lambda: battlefield(map_size=46, max_steps=2), False)},
    "combined_arms": {
        "time is up": (lambda: combined_arms(map_size=16, minimap=True, max_steps=3), False),
        "wiped out": (
            lambda: combined_arms(map_size=16, num_ranged=1, damage=100.0, max_steps=10_000),
            True,
        ),
    },
    "gaussian_squeeze": {
        "three agents": (lambda: gaussian_squeeze(3, num_actions=4, mu=4.0, max_steps=3), False),
    },
    "gather": {
        "time is up": (lambda: gather(map_size=20, num_food=9, minimap=True, max_steps=3), False),
        "eaten": (lambda: gather(map_size=20, num_food=1, food_hp=1.0, max_steps=10_000), True),
    },
    "tiger_deer": {
        "time is up": (lambda: tiger_deer(map_size=10, minimap=True, max_steps=3), False),
        "starved": (lambda: tiger_deer(map_size=12, num_walls=0, tiger_recovery=-4.0), True),
    },
    "ising": {
        "odd": (lambda: ising(3, max_steps=3), False),
        "ordered": (lambda: ising(4, max_steps=3, start="ordered"), False),
    },
    "linear_quadratic_game": {"f16": (lambda: linear_quadratic_game(max_steps=3), False)},
    "linear_quadratic_players": {"two": (lambda: linear_quadratic_players(max_steps=3), False)},
    "matrix_game": {
        "once": (lambda: matrix_game("shapley"), True),
        "time limit": (
            lambda: matrix_game("stag_hunt", num_rounds=3, memory=True, truncate=True),
            False,
        ),
        "three players": (lambda: matrix_game("coordination", num_agents=3, num_rounds=4), True),
    },
    "nonlinear_control": {"alone": (lambda: nonlinear_control(max_steps=3), False)},
    "nonlinear_zero_sum": {"hji": (lambda: nonlinear_zero_sum(max_steps=3), False)},
    "collect_treasure": {
        "one of each": (
            lambda: collect_treasure(
                num_collectors=2, num_deposits=1, num_treasures=2, max_steps=2
            ),
            False,
        ),
    },
    "rover_tower": {
        "two pairs": (lambda: rover_tower(num_pairs=2, num_landmarks=2, max_steps=2), False),
    },
    "simple": {"legacy": (lambda: simple(max_steps=2, integration="legacy"), False)},
    "simple_adversary": {"alone": (lambda: simple_adversary(num_agents=1, max_steps=2), False)},
    "simple_crypto": {
        "continuous": (lambda: simple_crypto(max_steps=2, actions="continuous"), False)
    },
    "simple_formation": {
        "two": (
            lambda: simple_formation(num_agents=2, max_steps=2, terminate_on_success=True),
            False,
        ),
    },
    "simple_line": {"two": (lambda: simple_line(num_agents=2, max_steps=2), False)},
    "simple_push": {"short": (lambda: simple_push(max_steps=2), False)},
    "simple_reference": {
        "continuous": (lambda: simple_reference(max_steps=2, actions="continuous"), False),
    },
    "simple_speaker_listener": {"short": (lambda: simple_speaker_listener(max_steps=2), False)},
    "simple_spread": {
        "continuous": (
            lambda: simple_spread(
                num_agents=2, max_steps=2, actions="continuous", integration="legacy"
            ),
            False,
        ),
        "alone": (lambda: simple_spread(num_agents=1, max_steps=2), False),
    },
    "simple_tag": {
        "two prey": (lambda: simple_tag(num_good=2, num_adversaries=1, max_steps=2), False),
    },
    "simple_world_comm": {
        "no forest": (
            lambda: simple_world_comm(
                num_good=1, num_adversaries=2, num_food=1, num_forests=0, max_steps=2
            ),
            False,
        ),
    },
    "torus_coordination": {"3 x 3": (lambda: torus_coordination(max_steps=3), False)},
    "grid_game": {
        "random starts": (lambda: grid_game(2, start="random", max_steps=250), True),
        "time limit": (lambda: grid_game(3, max_steps=2, observation="features"), False),
    },
    "guarding_territory": {"2 x 2": (lambda: guarding_territory(max_steps=250), True)},
    "field_coverage": {
        "time limit": (lambda: field_coverage(max_steps=3), False),
        "one drone": (
            lambda: field_coverage(
                rows=2, columns=2, heights=2, num_drones=1, field=((1, 1),), max_steps=250
            ),
            True,
        ),
    },
    "predator_prey": {
        "time limit": (lambda: predator_prey(depth=4, num_hunters=3, max_steps=3), False),
        "caught": (lambda: predator_prey(3, depth=1, observation="index"), True),
    },
    "rendezvous": {
        "time limit": (lambda: rendezvous(max_steps=3), False),
        "a small room": (lambda: rendezvous(rows=2, columns=2, max_steps=250), True),
    },
    "soccer": {
        "time limit": (lambda: soccer(max_steps=4), False),
        "draws": (
            lambda: soccer(draw_probability=0.3, max_steps=250, observation="features"),
            True,
        ),
    },
    "soccer_4x2": {"random starts": (lambda: soccer_4x2(max_steps=250), True)},
    "gymnax": {
        "catch": (lambda: gymnax("Catch-bsuite"), True),
        "time limit": (lambda: gymnax(params='{"max_steps_in_episode": 3}'), False),
    },
    "jaxmarl": {
        "switch riddle": (lambda: jaxmarl("switch_riddle"), True),
        "coin game": (
            lambda: jaxmarl("coin_game", settings={"num_inner_steps": 2, "num_outer_steps": 2}),
            False,
        ),
    },
    "multi_agent_brax": {"hopper": (lambda: multi_agent_brax("hopper_3x1", max_steps=3), False)},
    "smax": {"3m": (lambda: smax(max_steps=3), False)},
    "two_step_game": {"both steps": (lambda: two_step_game(), True)},
}
PROBES = {
    "constant": (lambda: ConstantReward(2, 3), True),
    "constant, cut off": (lambda: ConstantReward(1, 3, True), False),
    "memory": (lambda: OneBitMemory(2), True),
    "mixed": (lambda: MixedGroups(3), True),
    "dying": (lambda: DyingAgents(), True),
}
# worlds that take their time to compile, and those whose like is among the fast tests
SLOW = {
    *("multi_agent_brax", "smax", "jaxmarl"),
    *("adversarial_pursuit", "battlefield", "combined_arms", "gather"),  # battle, tiger_deer
    *("simple", "simple_adversary", "simple_formation", "simple_line", "simple_push"),
    *("simple_speaker_listener", "simple_world_comm", "collect_treasure", "rover_tower"),
    *("linear_quadratic_players", "nonlinear_control", "nonlinear_zero_sum"),
    *("soccer_4x2", "grid_game", "guarding_territory", "rendezvous"),
}


def _cases(most: int) -> list:
    """The first so many cases of each environment, and all probes, to parametrise tests with.

    Of an environment the first case is among the fast tests.
    """
    slow = lambda name, i: [pytest.mark.slow] if name in SLOW or i else []
    return [
        pytest.param((name, case), marks=slow(name, i))
        for name in sorted(ENVIRONMENTS)
        for i, case in enumerate(list(FITTING.get(name, {}))[:most])
    ] + [("probe", case) for case in PROBES]


CASES = _cases(100)
FIRST_CASES = _cases(1)


def fitting(name: str, case: str) -> tuple[Any, bool]:
    """Returns an environment, and whether its episodes under random play truly end.

    Skips the test where the environment needs a package that is not installed.
    """
    build, ends_truly = (PROBES if name == "probe" else FITTING[name])[case]
    try:
        return build(), ends_truly
    except ImportError as missing:
        pytest.skip(str(missing))
