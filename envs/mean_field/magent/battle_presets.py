"""The grid battle of MAgent, two armies: presets, and the checks on what they are changed to."""

from collections.abc import Iterable

from jaxmarl_core.envs.mean_field.magent.battle import Battle
from jaxmarl_core.envs.mean_field.magent.grid import Cells
from jaxmarl_core.envs.mean_field.magent.world import check_options
from jaxmarl_core.errors import lookup, require

PRESETS = {
    "mfrl": {  # the code of Yang et al., 2018
        "map_size": 40,
        "max_steps": 400,
        "left": "random",
        "minimap": True,
        "observe_before_removal": False,
    },
    "magent2": {  # battle_v4
        "map_size": 45,
        "max_steps": 1000,
        "left": "red",
        "minimap": False,
        "observe_before_removal": True,
    },
}


def battle(
    preset: str = "mfrl",
    *,
    map_size: int | None = None,
    num_red: int | None = None,
    num_blue: int | None = None,
    max_steps: int | None = None,
    left: str | None = None,
    move_priority: str = "queue",
    minimap: bool | None = None,
    id_bits: int = 10,
    walls: Cells = (),
    start_red: Cells | None = None,
    start_blue: Cells | None = None,
    outside_is_wall: bool = False,
    death_overwrites: bool = True,
    dead_keep_hit_reward: bool = True,
    observe_before_removal: bool | None = None,
    step_reward: float = -0.005,
    kill_reward: float = 5.0,
    death_reward: float = -0.1,
    attack_penalty: float = -0.1,
    hit_reward: float = 0.2,
    damage: float = 2.0,
    recovery: float = 0.1,
    max_hp: float = 10.0,
) -> Battle:
    """Returns the battle game; None takes the preset's value.

    Args:
      preset: "mfrl", the paper's code (40 x 40, 64 v 64, minimap, 400 steps, sides drawn per
        episode), or "magent2", battle_v4 (45 x 45, 81 v 81, no minimap, 1000 steps, red left).
      map_size: cells along a side, with the ring of wall; 4 or more.
      num_red: soldiers of team 0; by default as many as the map's starting square holds.
      num_blue: soldiers of team 1.
      max_steps: the time limit.
      left: "red", "blue" or "random" per episode: who starts on the left and has the lower ids.
      move_priority: "queue", red before blue and then by index, or "random", drawn every step.
      minimap: whether views have the two minimap channels and features the position.
      id_bits: how many bits of its id an agent sees, 0..31.
      walls: cells (x, y) of walls besides the border.
      start_red: cells (x, y) where red starts, whatever its side; by default the starting square.
      start_blue: the same for blue.
      outside_is_wall: whether cells outside the map look like walls, or like empty floor.
      death_overwrites: whether death_reward replaces what the killed earned before in that step.
      dead_keep_hit_reward: whether an agent killed after its blow still gets hit_reward.
      observe_before_removal: whether observations are those of battle_v4, taken while those just
        killed are still listed: they get a last observation and count in the minimap, and the
        last reward shown is one step old.
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
    defaults = lookup(PRESETS, preset, "preset")
    static = {
        "map_size": map_size,
        "max_steps": max_steps,
        "left": left,
        "minimap": minimap,
        "observe_before_removal": observe_before_removal,
    }
    static = {name: defaults[name] if x is None else x for name, x in static.items()}
    size = static["map_size"]
    check_options(
        4,
        map_size=size,
        max_steps=static["max_steps"],
        id_bits=id_bits,
        move_priority=move_priority,
        damage=damage,
        max_hp=max_hp,
    )
    require(recovery >= 0, "recovery", "at least 0", recovery)
    walls = _cells("walls", walls, size, 0)
    sides = {"red": ("red", "red"), "blue": ("blue", "blue"), "random": ("red", "blue")}
    starts = [
        _starts(size, walls, (num_red, num_blue), (start_red, start_blue), side == "blue")
        for side in lookup(sides, static["left"], "left")
    ]
    first, second = ((*red, *blue) for red, blue in starts)
    return Battle(
        step_reward=step_reward,
        kill_reward=kill_reward,
        death_reward=death_reward,
        attack_penalty=attack_penalty,
        hit_reward=hit_reward,
        damage=damage,
        recovery=recovery,
        max_hp=max_hp,
        num_red=len(starts[0][0]),
        num_blue=len(starts[0][1]),
        walls=walls,
        starts=(first, second),
        move_priority=move_priority,
        id_bits=id_bits,
        outside_is_wall=outside_is_wall,
        death_overwrites=death_overwrites,
        dead_keep_hit_reward=dead_keep_hit_reward,
        **static,
    )


def _cells(field: str, cells: Iterable[tuple[int, int]], map_size: int, ring: int) -> Cells:
    cells = tuple((int(x), int(y)) for x, y in cells)
    for cell in cells:
        inside = all(ring <= place < map_size - ring for place in cell)
        require(inside, field, f"cells in {ring}..{map_size - 1 - ring}", cell)
    return cells


def _starts(map_size, walls, numbers, given, swapped: bool) -> tuple[Cells, Cells]:
    # The start cells of red and of blue, with red on the left unless swapped.
    blocks = starting_blocks(map_size, walls)
    default = min(len(square) for square, _ in blocks)
    teams: list[Cells] = []
    for name, number, cells, block in zip(
        ("red", "blue"), numbers, given, reversed(blocks) if swapped else blocks
    ):
        require(number is None or number >= 1, f"num_{name}", "at least 1", number)
        if cells is None:
            number = default if number is None else number
            require(number >= 1, "map_size", f"room for a starting square, or num_{name}", map_size)
            room = sum(map(len, block))
            require(number <= room, f"num_{name}", f"at most {room}, the room of its half", number)
            cells = [*block[0], *block[1]][:number]
        cells = _cells(f"start_{name}", cells, map_size, 1)
        require(len(cells) >= 1, f"start_{name}", "at least one cell", "none")
        expected = f"num_{name} ({number}) cells"
        require(number in (None, len(cells)), f"start_{name}", expected, len(cells))
        teams.append(cells)
    _check_free(teams, walls)
    red, blue = teams
    return red, blue


def _check_free(teams, walls) -> None:
    taken = set(walls)
    for name, cells in zip(("red", "blue"), teams):
        for cell in cells:
            require(cell not in taken, f"start_{name}", "free cells, each once", cell)
            taken.add(cell)


def starting_blocks(map_size: int, walls: Cells) -> tuple[tuple[list, list], ...]:
    """Returns (square, rest) of the left and of the right army: where they stand at the start.

    `square` is the formula of both published codes: a sparse square of side 2 floor(map_size / 5)
    with every second cell filled, three columns off the middle, column by column. `rest` is ours,
    for armies larger than their square: the other free cells of that half of the map.
    """
    taken = set(walls)
    middle, side = map_size // 2, 2 * (map_size // 5)
    top = (map_size - side) // 2
    armies = []
    for first, half in (
        (middle - 3 - side, range(1, middle)),
        (middle + 3, range(middle, map_size - 1)),
    ):
        free = [(x, y) for x in half for y in range(1, map_size - 1) if (x, y) not in taken]
        square = [(x, y) for x in range(first, first + side, 2) for y in range(top, top + side, 2)]
        in_half, in_square = set(free), set(square)
        square = [place for place in square if place in in_half]
        armies.append((square, [place for place in free if place not in in_square]))
    return tuple(armies)
