"""On-policy actor-critics trained on simple_spread, beside what JaxMARL's and HARL's programs did.

Those programs are not on the package registry. Their figures, of one idle two-core machine, are
scaled to this one by the random play of JaxMARL's environment, which is: 397,000 env-steps/s of
1,024 copies there. Learners named plainly play as JaxMARL's did: 16 environments x 128 steps, 4
epochs of 4 minibatches, layers of 64. Those "as HARL's" play 20 x 200, 5 epochs of the whole batch,
layers of 128 with their outputs normalised, in the older physics.

    python -m jaxmarl_core.experiments.benchmarks.on_policy
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax

from jaxmarl_core.envs import simple_spread
from jaxmarl_core.experiments.benchmarks.environments import program, theirs
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.train import Schedule, make_train

RANDOM_PLAY = 397_000.0  # env-steps/s of JaxMARL's simple_spread where the peers were measured
JAXMARL = {"num_envs": 16, "rollout_length": 128, "num_epochs": 4, "num_minibatches": 4}
HARL = {
    "num_envs": 20,
    "rollout_length": 200,
    "num_epochs": 5,
    "num_minibatches": 1,
    "hidden": (128, 128),
    "activation": "relu",
    "layer_norm": True,
}
GRU = {"memory_size": 64}
REPEATS = 3


class Peer(NamedTuple):
    """A learner, and what another library's did."""

    algorithm: str
    config: dict
    env: Callable
    who: str
    steps: float  # env-steps/s of the other
    compilation: float | None  # seconds
    wanted: float | None  # ratio


SPREAD, LEGACY = simple_spread, lambda: simple_spread(integration="legacy")
PEERS = {
    "IPPO": Peer("ippo", JAXMARL, SPREAD, "JaxMARL", 55_600, 6.7, 1.5),
    "IPPO, GRU": Peer("ippo", JAXMARL | GRU, SPREAD, "JaxMARL", 6_470, 13.2, 2.0),
    "MAPPO, GRU": Peer("mappo", JAXMARL | GRU, SPREAD, "JaxMARL", 2_700, 11.1, 2.0),
    "HAPPO": Peer("happo", JAXMARL, SPREAD, "HARL", 2_179, None, 20.0),
    "HAPPO, as HARL's": Peer("happo", HARL, LEGACY, "HARL", 2_179, None, None),
    "HATRPO, as HARL's": Peer("hatrpo", HARL, LEGACY, "HARL", 1_029, None, None),
    "HAA2C, as HARL's": Peer("haa2c", HARL, LEGACY, "HARL", 2_003, None, None),
    "MAPPO, as HARL's": Peer("mappo", HARL, LEGACY, "HARL", 1_891, None, None),
}


def trained(peer: Peer, num_updates: int) -> tuple[float, float]:
    """Returns (env-steps per second of the median run, seconds of compilation)."""
    env = peer.env()
    algorithm = make_algorithm(peer.algorithm, env, **peer.config)
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    key = jax.random.key(0)
    began = time.perf_counter()
    compiled = jax.jit(train).lower(key, algorithm.hparams).compile()
    compilation = time.perf_counter() - began
    _, metrics = compiled(key, algorithm.hparams)
    num_steps = float(metrics["env_steps"].sum())
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(compiled(key, algorithm.hparams))
        seconds.append(time.perf_counter() - began)
    return num_steps / statistics.median(seconds), compilation


def random_play(copies: int = 1024, num_steps: int = 100) -> float:
    """Returns env-steps per second of JaxMARL's simple_spread, played at random."""
    run = program(theirs("MPE_simple_spread_v3", {}), copies, 1)
    run(num_steps)
    return statistics.median(copies * num_steps / run(num_steps) for _ in range(5))


def measure(peers: Mapping[str, Peer] = PEERS, num_updates: int = 4) -> Iterator[str]:
    """Yields the table of some learners and their peers, a line at a time."""
    scale = random_play() / RANDOM_PLAY
    yield f"JaxMARL's random play: {scale:.2f} of the machine the peers were measured on"
    yield "learner            env-steps/s  peer, scaled   ratio  wanted  compiled in   peer's"
    for name, peer in peers.items():
        before = random_play()
        steps, compilation = trained(peer, num_updates)
        scale = (before + random_play()) / 2 / RANDOM_PLAY
        wanted = "" if peer.wanted is None else f"{peer.wanted:.1f}"
        waited = "" if peer.compilation is None else f"{peer.compilation / scale:.1f} s"
        theirs_here = peer.steps * scale
        yield (
            f"{name:18} {steps:11,.0f} {theirs_here:13,.0f} {steps / theirs_here:7.2f} {wanted:>7}"
            f" {compilation:10.1f} s {waited:>8}"
        )


def main() -> None:
    """Prints the table."""
    jax.config.update("jax_enable_compilation_cache", False)
    for line in measure():
        print(line, flush=True)


if __name__ == "__main__":
    main()
