"""Battlefield: the battle with twelve soldiers a side and broken walls between the armies."""

from jaxmarl_core.envs.mean_field.magent.battle import Battle
from jaxmarl_core.envs.mean_field.magent.battle_presets import battle
from jaxmarl_core.envs.mean_field.magent.grid import Cells
from jaxmarl_core.errors import require

SIDE = 8  # of a starting square, with every second cell filled


def battlefield(
    *,
    map_size: int = 80,
    max_steps: int = 1000,
    minimap: bool = False,
    move_priority: str = "queue",
    id_bits: int = 10,
    observe_before_removal: bool = True,
    step_reward: float = -0.005,
    kill_reward: float = 5.0,
    death_reward: float = -0.1,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.2,
    damage: float = 2.0,
    recovery: float = 0.1,
    max_hp: float = 10.0,
) -> Battle:
    """Returns battlefield_v5 of MAgent2: a `Battle` on a map with two broken double walls.

    The rules are those of battle_v4, red on the left. A starting square has sixteen places, less
    those that a wall takes: 12 against 12 at the published size.

    Args:
      map_size: cells along a side, with the ring of wall; 46 or more.
      max_steps: the time limit.
      minimap: whether views have the two minimap channels and features the position.
      move_priority: "queue", red before blue and then by index, or "random", drawn every step.
      id_bits: how many bits of its id an agent sees, 0..31.
      observe_before_removal: whether observations are taken while those just killed are still
        listed, see `battle`.
      step_reward: for every living agent, every step.
      kill_reward: for the blow that kills.
      death_reward: for being killed.
      attack_penalty: for every attack, a number added: negative punishes.
      hit_reward: for a blow that an enemy survives.
      damage: hp that a blow takes, above 0.
      recovery: hp regained every step, 0 or more.
      max_hp: hp at the start and at most, above 0.

    Raises:
      ValueError: naming the argument.
    """
    require(map_size >= 46, "map_size", "at least 46", map_size)
    walls = broken_walls(map_size)
    red, blue = (_square(map_size, first, walls) for first in _first_columns(map_size))
    return battle(
        "magent2",
        map_size=map_size,
        max_steps=max_steps,
        left="red",
        minimap=minimap,
        move_priority=move_priority,
        id_bits=id_bits,
        walls=walls,
        start_red=red,
        start_blue=blue,
        observe_before_removal=observe_before_removal,
        step_reward=step_reward,
        kill_reward=kill_reward,
        death_reward=death_reward,
        attack_penalty=attack_penalty,
        hit_reward=hit_reward,
        damage=damage,
        recovery=recovery,
        max_hp=max_hp,
    )


def broken_walls(map_size: int) -> Cells:
    """Returns the cells of the two double walls, four and five columns off the middle.

    The left wall is whole from row 10 down but for a gap at rows 45-49, and ends 25 rows below the
    middle; the right one is its image under half a turn.
    """
    middle, half = map_size // 2, map_size / 2  # theirs cuts an odd map's half columns down
    left = [*range(10, 45), *range(50, middle + 25)]
    right = [*range(middle - 25, map_size - 50), *range(map_size - 45, map_size - 10)]
    cells = [(int(half + x), y) for x in (-5, -4) for y in left]
    cells += [(int(half + x), y) for x in (4, 5) for y in right]
    return tuple(dict.fromkeys(cells))


def _first_columns(map_size: int) -> tuple[int, int]:
    return map_size // 2 - 3 - SIDE, map_size // 2 + 3


def _square(map_size: int, first: int, walls: Cells) -> Cells:
    top, taken = (map_size - SIDE) // 2, set(walls)
    places = [(x, y) for x in range(first, first + SIDE, 2) for y in range(top, top + SIDE, 2)]
    return tuple(place for place in places if place not in taken)
