"""A population on the runs of a part: between two segments the worst copy the best.

All happens on the devices, as a gather over the run axis; the host says when, hands over the
figures, which it takes from the metrics that are saved, and writes down what was changed before any
state that depends on it is saved. The keys are those of the populations folded with the number of
updates done, so that a part that goes on from a checkpoint changes what it would have changed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.store import schedule, segments
from jaxmarl_core.store.tables import Results, final
from jaxmarl_core.sweeps import plan
from jaxmarl_core.sweeps.draws import draws
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.plan import Part
from jaxmarl_core.sweeps.program import Program
from jaxmarl_core.sweeps.search.population import Population, evolve
from jaxmarl_core.sweeps.spec import Spec

STREAM = 0x9B7  # folded into the key of a seed: other numbers than those its runs draw


def by_population(spec: Spec, parts: list[Part]) -> list[Part]:
    """Returns parts of runs to come with the members of a population beside each other."""
    if spec.population is None:
        return parts
    return [
        part.some(np.lexsort((part.rows, part.seeds)), part.folder)._replace(
            every=spec.population.every
        )
        for part in parts
    ]


def whole_populations(num_runs: int, num_members: int, what: str) -> int:
    """Returns the most runs, up to `num_runs`, that are whole populations.

    Raises ValueError where not even one is.
    """
    need = f"what the {num_members} members of a population need, which learn together"
    require(num_runs >= num_members, "memory_gb", need, f"that of {num_runs} runs of {what}")
    return num_runs // num_members * num_members


class Generations:
    """The populations of a part, as it is computed.

    Args:
      spec: of the sweep.
      part: its runs, population after population.
      program: of the part.
      mesh: of the devices.
      begin: updates done; what was changed later is forgotten, and will be changed again.
    """

    def __init__(self, spec: Spec, part: Part, program: Program, mesh: Mesh, begin: int):
        options = spec.population
        assert options is not None
        self.part, self.options, self.spec = part, options, spec
        names = hp.names(part.variant.hparams)
        found = schedule.read(part.folder) or schedule.empty(part.num_runs, names)
        self.schedule = found.until(begin)
        self._draws = draws(spec.random, part.variant.algorithm.hparams)
        self._step = exchange(part, options, self._draws, program, mesh)
        first = begin // options.every * options.every  # of the interval that goes on
        self._window: list[Mapping[str, np.ndarray]] = []
        if begin > first:
            saved = segments.read(part.folder).metrics
            self._window = [{name: values[:, first:begin] for name, values in saved.items()}]

    def hparams(self) -> Any:
        """Returns the hparams that the runs go on with, leaves [R]."""
        started = self.part.hparams
        if not len(self.schedule.updates):
            return started
        now = {name: jnp.asarray(values[-1]) for name, values in self.schedule.hparams.items()}
        return started.replace(**now)

    def note(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Hears of a segment's metrics, [R, k] each."""
        self._window.append(metrics)

    def change(
        self, reached: int, state: Any, rows: Any, lost: np.ndarray
    ) -> tuple[Any, Any, np.ndarray]:
        """Returns state, hparams and [R] parents after the populations changed; writes them down.

        Args:
          reached: updates done.
          state: on the devices, given away.
          rows: hparams on the devices.
          lost: [R] bool, runs that have diverged since they last copied another.
        """
        figures = np.where(lost, np.nan, self._figures())
        sign = 1.0 if self.spec.higher_is_better else -1.0
        wide = len(jax.tree.leaves(rows)[0])
        ranked = np.full(wide, np.nan, np.float32)
        ranked[: len(figures)] = sign * figures
        state, rows, parents = self._step(jnp.int32(reached), jnp.asarray(ranked), state, rows)
        parents = np.asarray(parents)[: self.part.num_runs]
        own = {n: np.asarray(getattr(rows, n))[: self.part.num_runs] for n in hp.names(rows)}
        self.schedule = self.schedule.appended(reached, parents, figures, own)
        schedule.write(self.part.folder, self.schedule)
        self._window = []
        return state, rows, parents

    def _figures(self) -> np.ndarray:
        """Returns [R] f64, the objective over the interval that ends; NaN where it has no value."""
        names = self._window[0]
        whole = {n: np.concatenate([m[n] for m in self._window], axis=1) for n in names}
        num, sound = self.part.num_runs, np.full(self.part.num_runs, -1)
        results = Results(plan.run_records(self.part), whole, np.full(num, 0), sound)
        return final(results, objective(self.spec, results))


def exchange(
    part: Part, options: Population, found: Mapping[str, Any], program: Program, mesh: Mesh
) -> Callable[..., Any]:
    """Returns (update, figures [R'], states, hparams) -> (states, hparams, parents [R']), compiled.

    R' is the part's R runs, filled up to all devices with copies of the last.
    """
    num_members = hp.num_rows(part.variant.hparams)
    seeds = part.seeds[::num_members]
    populations = np.arange(part.num_runs).reshape(len(seeds), num_members)
    require(bool((part.seeds.reshape(populations.shape) == seeds[:, None]).all()),
            f"{part.folder}", "whole populations", "others")  # fmt: skip

    def step(update: jax.Array, figures: jax.Array, states: Any, rows: Any) -> Any:
        first = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), STREAM))
        keys = jax.vmap(lambda key: jax.random.fold_in(key, update))(first(jnp.asarray(seeds)))
        grouped = jax.tree.map(lambda leaf: leaf[populations], (figures, rows))
        one = lambda key, own: evolve(key, own[0], own[1], found, options)
        local, changed = jax.vmap(one)(keys, grouped)
        parents = jnp.take_along_axis(jnp.asarray(populations), local, axis=1).reshape(-1)
        extra = figures.shape[0] - parents.shape[0]
        filled = lambda leaf: jnp.concatenate([leaf, jnp.repeat(leaf[-1:], extra, axis=0)])
        parents = filled(parents)
        changed = jax.tree.map(lambda leaf: filled(leaf.reshape(-1)), changed)
        return jax.tree.map(lambda leaf: leaf[parents], states), changed, parents

    along_runs = NamedSharding(mesh, PartitionSpec("run"))
    state = jax.tree.map(lambda leaf: leaf.sharding, program.state)
    shardings = state, along_runs, NamedSharding(mesh, PartitionSpec())
    return jax.jit(step, donate_argnums=(2,), out_shardings=shardings)
