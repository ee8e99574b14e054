"""The rules of a battle's step in plain NumPy, one agent after another: what the tests believe."""

import numpy as np

OFFSETS = [(x, y) for y in range(-2, 3) for x in range(-2, 3)]
MOVES = [cell for cell in OFFSETS if cell[0] ** 2 + cell[1] ** 2 <= 4]
ATTACKS = [cell for cell in OFFSETS if max(map(abs, cell)) == 1]
ACTIONS = MOVES + ATTACKS

STEP, KILL, DEATH, ATTACK, HIT = map(np.float32, (-0.005, 5.0, -0.1, -0.1, 0.2))
DAMAGE, RECOVERY, MAX_HP = map(np.float32, (2.0, 0.1, 10.0))


def play(position, hp, alive, action, attack_order, move_order, num_red, map_size, walls):
    """Returns position [N, 2], hp [N], alive [N] and reward [N] after one step."""
    num_agents = len(hp)
    position, hp, alive = position.copy(), hp.copy(), alive.copy()
    alive_before = alive.copy()
    reward = np.where(alive, STEP, np.float32(0))
    occupant = {tuple(position[i]): i for i in range(num_agents) if alive[i]}
    hits = []
    for i in sorted(np.flatnonzero(action >= 13), key=lambda i: attack_order[i]):
        if not alive[i]:
            continue
        victim = occupant.get(tuple(position[i] + ACTIONS[action[i]]))
        if victim is None or (victim < num_red) == (i < num_red):
            reward[i] += ATTACK
            continue
        hp[victim] -= DAMAGE
        if hp[victim] < 0:
            alive[victim] = False
            del occupant[tuple(position[victim])]
            reward[victim] = DEATH
            reward[i] += KILL + ATTACK
        else:
            reward[i] += ATTACK
            hits.append(i)
    hp = np.where(alive, np.minimum(hp + RECOVERY, MAX_HP), np.float32(0))
    for i in sorted(np.flatnonzero(action < 13), key=lambda i: move_order[i]):
        target = tuple(position[i] + ACTIONS[action[i]])
        inside = all(0 < place < map_size - 1 for place in target)
        if alive[i] and inside and target not in walls and target not in occupant:
            del occupant[tuple(position[i])]
            occupant[target] = i
            position[i] = target
    for i in hits:
        reward[i] += HIT
    return position, hp, alive, np.where(alive_before, reward, 0)
