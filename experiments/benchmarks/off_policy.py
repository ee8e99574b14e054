"""Off-policy actor-critics trained on simple_spread beside HARL's own program, at equal work.

HARL's program is run from a checkout, as it is, by a Python that has what it asks for (torch,
pettingzoo 1.22.3, supersuit 3.7, pyyaml, setproctitle, tensorboardX). What it is told stands in the
checkout's tuned configurations; ours are made of that file and printed beside it: as many
environments, env steps to a gradient step, transitions in a batch, units in a layer, and as large
a replay. Both have the same cores, one after another; where other work goes on beside, the times
of the processors, told behind those of the clock, are the fairer ones. Behind them stand 32
configurations of ours in one program, at the same work for each.

    HARL=path/of/the/checkout HARL_PYTHON=path/of/its/python \
        python -m jaxmarl_core.experiments.benchmarks.off_policy

Without HARL only ours are timed.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core import hparams as hp
from jaxmarl_core.envs import simple_spread
from jaxmarl_core.registry import make_algorithm
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Algorithm, Environment

LEARNERS = ("hatd3", "haddpg", "maddpg")
TUNED = "tuned_configs/pettingzoo_mpe/simple_spread_v2-continuous/{}/config.json"
WANTED = 20.0  # ratio
NUM_CONFIGURATIONS, SHORT_REPLAY = 32, 10_000  # of the sweep: env steps that are kept
REPEATS = 3

# what HARL's files say of simple_spread with continuous actions, alike for all these learners; used
# where there is no checkout to read them from
DEFAULT: dict[str, Any] = {
    "algo": {"batch_size": 1000, "buffer_size": 1_000_000, "expl_noise": 0.1, "gamma": 0.99}
    | {"n_step": 1, "polyak": 0.005},
    "model": {"activation_func": "relu", "critic_lr": 1e-3, "hidden_sizes": [128, 128], "lr": 5e-4},
    "train": {"n_rollout_threads": 20, "train_interval": 50, "update_per_train": 1}
    | {"warmup_steps": 10_000},
}
TWINS = {"policy_freq": 2, "policy_noise": 0.2, "noise_clip": 0.5}  # and of HATD3


def told(checkout: Path | None, learner: str) -> dict[str, Any]:
    """Returns what HARL's own file tells its learner, or DEFAULT without a checkout."""
    if checkout is None:
        return DEFAULT | {"algo": DEFAULT["algo"] | (TWINS if learner == "hatd3" else {})}
    return json.loads((checkout / TUNED.format(learner)).read_text())["algo_args"]


def ours(learner: str, args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the (config, hparams) with which our learner does the same work an env step.

    Args:
      learner: of LEARNERS.
      args: HARL's, from `told`.
    """
    algo, model, train = args["algo"], args["model"], args["train"]
    config = {
        "num_envs": train["n_rollout_threads"],
        "rollout_length": train["train_interval"],
        "num_gradient_steps": round(train["update_per_train"] * train["train_interval"]),
        "batch_size": algo["batch_size"],
        "buffer_length": algo["buffer_size"] // train["n_rollout_threads"],
        "hidden": tuple(model["hidden_sizes"]),
        "activation": model["activation_func"],
        "n_step": algo["n_step"],
        "actor_period": algo.get("policy_freq", 1),  # which its runner reads for all learners
        "critic": "environment",  # HARL's MADDPG has a critic of the team, too
        "central": "state",
    }
    hparams = {
        "learning_rate": model["lr"],
        "critic_learning_rate": model["critic_lr"],
        "gamma": algo["gamma"],
        "tau": algo["polyak"],
        "noise": algo["expl_noise"],
        "final_noise": algo["expl_noise"],
        "learning_starts": float(train["warmup_steps"]),
        "max_grad_norm": 1e6,  # it does not clip
    }
    if learner == "hatd3":
        hparams |= {"target_noise": algo["policy_noise"], "target_clip": algo["noise_clip"]}
    return config, hparams


def side_by_side(args: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yields what makes the work of an env step, HARL's and ours, a line at a time."""
    algo, model, train = args["algo"], args["model"], args["train"]
    steps, num_envs = train["train_interval"], train["n_rollout_threads"]
    their_steps = steps * train["update_per_train"]
    rows = (
        ("environments", num_envs, config["num_envs"]),
        (
            "env steps to a gradient step",
            num_envs * steps / their_steps,
            config["num_envs"] * config["rollout_length"] / config["num_gradient_steps"],
        ),
        ("batch", algo["batch_size"], config["batch_size"]),
        ("layers", tuple(model["hidden_sizes"]), config["hidden"]),
        ("replay, env steps", algo["buffer_size"], config["buffer_length"] * config["num_envs"]),
        ("critics' steps to an actors'", algo.get("policy_freq", 1), config["actor_period"]),
    )
    for name, theirs, mine in rows:
        yield f"  {name:30} HARL {theirs!s:>12}   ours {mine!s:>12}"


class Cost(NamedTuple):
    """What something took: seconds by the clock, and of all its processors together."""

    clock: float
    processors: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.clock - other.clock, self.processors - other.processors)

    def per(self, num_steps: float) -> str:
        """Returns words for what env steps cost."""
        rate, each = num_steps / self.clock, 1000 * self.processors / num_steps
        return f"{rate:,.0f} env steps/s ({each:.2f} ms of a processor each)"


def spent() -> Cost:
    """Returns the times now: of this process, and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used))


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def harl_run(checkout: Path, python: str, learner: str, num_env_steps: int) -> Cost:
    """Returns the cost of HARL's whole program: start, warm-up, and so many env steps behind it."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "num_env_steps": num_env_steps,
            "use_eval": False,
            "cuda": False,
            "torch_threads": cores(),
            "log_dir": folder,
        }
        command = [python, "examples/train.py"]
        command += ["--load_config", TUNED.format(learner), "--exp_name", "bench"]
        command += [word for name, x in options.items() for word in (f"--{name}", str(x))]
        path = f"{checkout}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        began = spent()
        subprocess.run(
            command,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return spent() - began


def harl_cost(checkout: Path, python: str, learner: str, num_env_steps: int) -> Cost:
    """Returns the cost of so many of HARL's env steps while it learns: of two runs' difference."""
    least = 1000  # one training, so that both have begun
    short = harl_run(checkout, python, learner, least)
    return harl_run(checkout, python, learner, least + num_env_steps) - short


def spread() -> Environment:
    """Returns the world as HARL's program has it."""
    return simple_spread(actions="continuous", integration="legacy")


def built(learner: str, config: Mapping[str, Any], hparams: Mapping[str, Any]) -> Algorithm:
    """Returns our learner with these options and numbers."""
    algorithm = make_algorithm(learner, spread(), **config)
    return algorithm._replace(hparams=algorithm.hparams.replace(**hparams))


def our_cost(algorithm: Algorithm, num_updates: int = 5) -> tuple[Cost, float, float]:
    """Returns (the cost of updates that learn, env steps they played, seconds of compilation).

    The steps are those that were played: the step after an end is none of them.
    """
    _, resume = make_train(algorithm, spread(), Schedule(num_updates))
    key, row = jax.random.key(0), algorithm.hparams
    state = jax.jit(algorithm.init)(key, row)
    began = time.perf_counter()
    program = jax.jit(resume, donate_argnums=1).lower(key, state, row, jnp.int32(0)).compile()
    compilation = time.perf_counter() - began
    costs, first, played = [], 0, 0.0
    while len(costs) < REPEATS:
        before = spent()
        state, metrics = jax.block_until_ready(program(key, state, row, jnp.int32(first)))
        if first * algorithm.env_steps >= row.learning_starts:
            costs.append(spent() - before)
            played = float(metrics["env_steps"].sum())
        first += num_updates
    return sorted(costs)[REPEATS // 2], played, compilation


def sweep_cost(algorithm: Algorithm) -> tuple[Cost, float, float]:
    """Returns what `our_cost` does of 32 configurations in one program, all steps together."""
    rates = [float(x) for x in jnp.geomspace(1e-4, 3e-3, NUM_CONFIGURATIONS // 4)]
    rows = hp.grid(algorithm.hparams, learning_rate=rates, noise=[0.05, 0.1, 0.2, 0.4])
    keys = jax.random.split(jax.random.key(0), NUM_CONFIGURATIONS)
    states = jax.jit(jax.vmap(algorithm.init))(keys, rows)
    one = jax.vmap(algorithm.update, (0, 0, 0, None))
    began = time.perf_counter()
    program = jax.jit(one, donate_argnums=1).lower(keys, states, rows, jnp.int32(0)).compile()
    compilation = time.perf_counter() - began
    costs, played = [], 0.0
    for index in range(2):
        before = spent()
        states, metrics = jax.block_until_ready(program(keys, states, rows, jnp.int32(index)))
        costs.append(spent() - before)
        played = float(metrics["env_steps"].sum())
    return min(costs), played, compilation


def beside(mine: Cost, steps: float, theirs: Cost | None, their_steps: float) -> str:
    """Returns words for how many times faster ours is, by the clock and by the processors."""
    if theirs is None:
        return ""
    clock, processors = (a / their_steps / (b / steps) for a, b in zip(theirs, mine))
    return f"; HARL's {theirs.per(their_steps)}; ratio {clock:.2f} ({processors:.2f})"


def measure(
    checkout: Path | None, python: str, learners: Sequence[str] = LEARNERS, harl_steps: int = 10_000
) -> Iterator[str]:
    """Yields the tables, a line at a time."""
    if checkout is None:
        yield "no checkout of HARL is given (HARL=path): only ours are timed"
    theirs = None
    for learner in learners:
        args = told(checkout, learner)
        config, hparams = ours(learner, args)
        yield f"{learner}, {cores()} cores, wanted {WANTED:.0f} times HARL"
        yield from side_by_side(args, config)
        mine, steps, compilation = our_cost(built(learner, config, hparams))
        if checkout is not None:
            theirs = harl_cost(checkout, python, learner, harl_steps)
        line = f"  ours {mine.per(steps)}, compiled in {compilation:.1f} s"
        yield line + beside(mine, steps, theirs, harl_steps)
        if learner == learners[0]:
            length = config["rollout_length"]
            short = max(SHORT_REPLAY // config["num_envs"] // length, 2) * length
            algorithm = built(learner, config | {"buffer_length": short}, hparams)
            mine, steps, compilation = sweep_cost(algorithm)
            line = f"  {NUM_CONFIGURATIONS} configurations in one program, replays of"
            line += f" {SHORT_REPLAY:,}: {mine.per(steps)}, {mine.clock:.1f} s for"
            line += f" {algorithm.env_steps:,} of each, compiled in {compilation:.1f} s"
            yield line + beside(mine, steps, theirs, harl_steps)


def main() -> None:
    """Prints the tables."""
    jax.config.update("jax_enable_compilation_cache", False)
    given = os.environ.get("HARL")
    checkout = None if given is None else Path(given).resolve()
    for line in measure(checkout, os.environ.get("HARL_PYTHON", sys.executable)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
