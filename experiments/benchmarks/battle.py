"""Throughput of the battle beside the engine it re-implements, in one run on one machine.

Both sides do the same work per step: everyone's observation (views with minimap, and features),
the joint action, the step, rewards, who is alive, removal of the dead. Actions are uniform and
drawn beforehand for both; games go on without resets. Ours is one program that scans over steps
and keeps every observation it writes in memory; theirs is its raw Python binding without the
PettingZoo layer. Ours is pinned to one core, and sharded over two; theirs runs in one process and
in two, one game each.

    python -m jaxmarl_core.experiments.benchmarks.battle
"""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

SIZES = {  # map sizes
    "64v64": 40,
    "256v256": 80,
    "1024v1024": 160,
    "4096v4096": 320,
    "16384v16384": 640,
}
BATCHES = (1, 16, 64)
LARGEST = 140_000  # soldiers in all games together; each sees 4.7 KB
REPEATS = 5
SECONDS = 0.25  # aimed at, for one measurement
NUM_JOINT_ACTIONS = 16  # drawn beforehand, played in turn
WORKER = "JAXMARL_BENCH_BATTLE"  # set in the processes that run our side: map size and cores


def engine_seconds(map_size: int, num_steps: int, seed: int = 0) -> float:
    """Returns the seconds that MAgent2's raw engine takes for `num_steps` steps."""
    battle_v4 = importlib.import_module("magent2.environments.battle.battle")
    rewards = {
        "step_reward": -0.005,
        "dead_penalty": -0.1,
        "attack_penalty": -0.1,
        "attack_opponent_reward": 0.2,
    }
    config = battle_v4.get_config(map_size, True, seed, **rewards)
    world = importlib.import_module("magent2.gridworld").GridWorld(config, map_size=map_size)
    world.reset()
    teams = world.get_handles()
    side = 2 * (map_size // 5)
    top = (map_size - side) // 2
    for team, left in zip(teams, (map_size // 2 - 3 - side, map_size // 2 + 3)):
        cells = [[x, y, 0] for x in range(left, left + side, 2) for y in range(top, top + side, 2)]
        world.add_agents(team, method="custom", pos=cells)
    shape = (NUM_JOINT_ACTIONS, 2, side * side // 4)
    actions = np.random.default_rng(seed).integers(0, 21, shape, dtype=np.int32)
    start = time.perf_counter()
    for i in range(num_steps):
        for k, team in enumerate(teams):
            world.get_observation(team)
            world.set_action(team, actions[i % NUM_JOINT_ACTIONS, k, : world.get_num(team)])
        world.step()
        for team in teams:
            world.get_reward(team)
            world.get_alive(team)
        world.clear_dead()
    return time.perf_counter() - start


def _engine_worker(pipe, map_size: int, seed: int) -> None:
    engine_seconds(map_size, 3, seed)
    pipe.send("ready")
    while (num_steps := pipe.recv()) is not None:
        pipe.send(engine_seconds(map_size, num_steps, seed))


def engine_throughput(map_size: int, num_processes: int) -> list[float]:
    """Returns measurements of env-steps/s of so many engine processes together."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for seed in range(num_processes):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_engine_worker, args=(theirs, map_size, seed))
        worker.start()
        pipes.append(ours)
        workers.append(worker)
    for pipe in pipes:
        pipe.recv()

    def play(num_steps):
        for pipe in pipes:
            pipe.send(num_steps)
        return max(pipe.recv() for pipe in pipes)

    num_steps = max(5, int(10 * SECONDS / play(10)))
    measured = [num_processes * num_steps / play(num_steps) for _ in range(REPEATS)]
    for pipe, worker in zip(pipes, workers):
        pipe.send(None)
        worker.join()
    return measured


def battle_program(map_size: int, num_envs: int, num_steps: int, num_devices: int) -> Callable:
    """Returns a compiled function that plays `num_steps` more in each of `num_envs` games."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, PartitionSpec

    from jaxmarl_core.envs import battle

    env = battle(map_size=map_size)
    batch = num_envs // num_devices

    def seen_of(step):
        return step.observation, step.reward, step.alive, step.last

    def play(carry, key):
        key_actions, key_play = jax.random.split(key[0])
        shape = (NUM_JOINT_ACTIONS, batch, env.num_agents)
        table = jax.random.randint(key_actions, shape, 0, 21)

        def step(carry, inputs):
            state, _ = carry
            i, key = inputs
            action = table[i % NUM_JOINT_ACTIONS]
            actions = {"red": action[:, : env.num_red], "blue": action[:, env.num_red :]}
            state, seen = jax.vmap(env.step)(jax.random.split(key, batch), state, actions)
            # Carried, so that all of it is written to memory in every step.
            return (state, seen_of(seen)), None

        inputs = jnp.arange(num_steps), jax.random.split(key_play, num_steps)
        return jax.lax.scan(step, carry, inputs)[0]

    mesh = Mesh(np.array(jax.devices("cpu")[:num_devices]), ("run",))
    shard = PartitionSpec("run")
    sharded = jax.shard_map(play, mesh=mesh, in_specs=shard, out_specs=shard, check_vma=False)
    compiled = jax.jit(sharded, donate_argnums=0)
    keys = jax.random.split(jax.random.key(0), num_envs)
    first = jax.eval_shape(lambda keys: seen_of(jax.vmap(env.reset)(keys)[1]), keys)
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first)
    carry = jax.device_put((jax.vmap(env.initial)(keys), blank), jax.NamedSharding(mesh, shard))

    def more(seed):
        nonlocal carry
        carry = compiled(carry, jax.random.split(jax.random.key(seed), num_devices))
        jax.block_until_ready(carry)

    return more


def soldiers(map_size: int) -> int:
    """Returns how many soldiers of both teams stand on a map of that side."""
    return 2 * (map_size // 5) ** 2


def battle_throughput(map_size: int, num_envs: int, num_devices: int) -> list[float]:
    """Returns measurements of our env-steps/s."""
    num_steps = max(3, int(SECONDS / (1e-6 * soldiers(map_size) * num_envs / num_devices)))
    program = battle_program(map_size, num_envs, num_steps, num_devices)
    program(0)
    measured = []
    for seed in range(REPEATS):
        start = time.perf_counter()
        program(seed)
        measured.append(num_envs * num_steps / (time.perf_counter() - start))
    return measured


def _ours_worker(map_size: int, num_cores: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_cores])
    fits = [size for size in BATCHES if size * soldiers(map_size) <= LARGEST]
    batches = [size for size in fits if size % num_cores == 0] or [num_cores]
    print(json.dumps({size: battle_throughput(map_size, size, num_cores) for size in batches}))


def ours(map_size: int, num_cores: int) -> dict[int, list[float]]:
    """Returns measurements of our env-steps/s by number of environments, on so many cores."""
    flags = f"--xla_force_host_platform_device_count={num_cores}"
    done = subprocess.run(
        [sys.executable, "-m", "jaxmarl_core.experiments.benchmarks.battle"],
        env={**os.environ, "XLA_FLAGS": flags, WORKER: f"{map_size} {num_cores}"},
        stdout=subprocess.PIPE,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    return {int(size): values for size, values in measured.items()}


def measure() -> Iterator[dict]:
    """Yields one row per setting: side, team size, cores, number of games, median steps/s."""
    cores = [n for n in (1, 2) if n <= len(os.sched_getaffinity(0))]
    for name, map_size in SIZES.items():
        for num_cores in cores:  # the two sides in turn: a busy machine slows both
            found = {("magent2", num_cores): engine_throughput(map_size, num_cores)}
            for num_envs, values in ours(map_size, num_cores).items():
                found["jaxmarl-core", num_envs] = values
            for (side, num_envs), values in found.items():
                steps = float(np.median(values))
                yield {
                    "side": side,
                    "size": name,
                    "cores": num_cores,
                    "games": num_envs,
                    "env_steps_per_second": steps,
                    "agent_steps_per_second": steps * soldiers(map_size),
                    "spread": (max(values) - min(values)) / steps,
                }


def main() -> None:
    """Prints the table of `measure`."""
    print(f"{'':12} {'teams':>12} {'cores':>5} {'games':>5} {'env-steps/s':>12} agent-steps/s")
    for row in measure():
        print(
            f"{row['side']:12} {row['size']:>12} {row['cores']:5} {row['games']:5} "
            f"{row['env_steps_per_second']:12,.0f} {row['agent_steps_per_second']:13,.0f}"
            f"  (range {row['spread']:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    if WORKER in os.environ:
        _ours_worker(*map(int, os.environ[WORKER].split()))
    else:
        main()
