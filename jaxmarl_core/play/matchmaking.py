"""Who meets whom in a league, by what came of earlier games: AlphaStar's rules as arrays.

A league has learners of three roles, and past players, copies of what learners were. Rows are
learners [L]; columns those they may meet [K + L], first the past players, then the learners as
they are now. Everything is a function of win rates; nothing is drawn here.

Vinyals et al., 2019, Nature 575, "Grandmaster level in StarCraft II": the methods, and the
pseudocode beside it, from which the thresholds are.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require

MAIN, MAIN_EXPLOITER, LEAGUE_EXPLOITER = range(3)

TOO_STRONG = 0.3  # a win rate below which a main agent meets another's past instead of its present
HOPELESS = 0.1  # a win rate below which a main exploiter begins with the main agent's past


@dataclasses.dataclass(frozen=True)
class League:
    """Who learns in a league, and when a copy joins its past players.

    main_agents: how many are to be robust; the first is what a run has learnt.
    main_exploiters: how many look for the main agents' weaknesses.
    league_exploiters: how many look for those of the whole league.
    size: places for past players, at least one a main agent. When all are taken, a copy replaces
      the oldest.
    every: updates between two looks at who is ready to leave a copy.
    patience: looks after which a copy is left in any case.
    beaten: win rate against everybody it should beat, above which a learner is ready.
    self_play: share of a main agent's episodes against main agents as they are now.
    verify: share against copies of exploiters that it does not beat, or of a main agent that it has
      forgotten how to beat; where there are none, of self-play. The rest is against all past
      players, by win rate.
    reset: probability that a league exploiter begins anew when it has left a copy; main exploiters
      always do.
    power: of (1 - win rate), by which past players are drawn.
    decay: what a game counts less in a win rate for each that follows it.
    greedy: whether opponents take the mode of their policy or draw from it.
    """

    main_agents: int = 1
    main_exploiters: int = 1
    league_exploiters: int = 1
    size: int = 16
    every: int = 10
    patience: int = 4
    beaten: float = 0.7
    self_play: float = 0.35
    verify: float = 0.15
    reset: float = 0.25
    power: float = 2.0
    decay: float = 0.99
    greedy: bool = False

    def __post_init__(self):
        least = {"main_agents": 1, "main_exploiters": 0, "league_exploiters": 0, "every": 1,
                 "patience": 1, "size": 1}  # fmt: skip
        for field, low in least.items():
            value = getattr(self, field)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= low
            require(whole, field, f"a whole number, at least {low}", repr(value))
        each = f"at least main_agents ({self.main_agents})"
        require(self.size >= self.main_agents, "size", each, self.size)
        for field in ("beaten", "self_play", "verify", "reset"):
            value = getattr(self, field)
            require(0 <= value <= 1, field, "in [0, 1]", value)
        left = self.self_play + self.verify <= 1
        require(left, "verify", f"at most 1 - self_play ({1 - self.self_play:g})", self.verify)
        require(self.power >= 0, "power", "at least 0", self.power)
        require(0 < self.decay <= 1, "decay", "in (0, 1]", self.decay)

    @property
    def roles(self) -> np.ndarray:
        """[L] the role of each learner: main agents first."""
        counts = (self.main_agents, self.main_exploiters, self.league_exploiters)
        return np.repeat((MAIN, MAIN_EXPLOITER, LEAGUE_EXPLOITER), counts)


class Standing(NamedTuple):
    """What matchmaking goes by."""

    past: jax.Array  # [L, K] f32, learners' win rates against past players; a half: never met
    now: jax.Array  # [L, L] f32, against the learners as they are
    there: jax.Array  # [K] bool, whether a place is taken
    owner: jax.Array  # [K] int32, whose copy it is
    age: jax.Array  # [K] int32, larger for who was added later


def match_weights(options: League, standing: Standing) -> jax.Array:
    """Returns how often each learner meets each, [L, K + L] f32, rows sum to 1."""
    rules = (_main, _main_exploiter, _league_exploiter)
    rows = [rules[role](options, standing, index) for index, role in enumerate(options.roles)]
    return jnp.stack(rows)


def is_ready(options: League, standing: Standing, looks: jax.Array) -> jax.Array:
    """Returns which learners leave a copy, [L] bool.

    A main exploiter should beat the main agents; the others all past players.

    Args:
      options: of the league.
      standing: as it is.
      looks: [L] int32, how often each was looked at since its last copy, this time too.
    """
    mains = jnp.asarray(options.roles == MAIN)
    beats_past = jnp.where(standing.there, standing.past, 1.0).min(1) > options.beaten
    beats_mains = jnp.where(mains, standing.now, 1.0).min(1) > options.beaten
    beats = jnp.where(options.roles == MAIN_EXPLOITER, beats_mains, beats_past)
    return beats | (looks >= options.patience)


def _main(options: League, standing: Standing, index: int) -> jax.Array:
    hard = jnp.power(1.0 - standing.past[index], options.power)
    against_past = _to_all(_shares(hard, standing.there), options.roles)
    # main agents as they are; of one that is too strong the past, those of its own strength
    present = lambda main: _present_or_past(options, standing, index, main, TOO_STRONG)
    verified = lambda main: _verified(options, standing, index, main, hard, present(main))
    return (
        options.self_play * _over_main_agents(options, present)
        + options.verify * _over_main_agents(options, verified)
        + (1.0 - options.self_play - options.verify) * against_past
    )


def _over_main_agents(options: League, weights_of: Callable[[int], jax.Array]) -> jax.Array:
    """Returns the mean of what is met where a main agent is the one in question, each alike."""
    parts = [weights_of(main) for main in range(options.main_agents)]
    return sum(parts) / len(parts)  # type: ignore[return-value]


def _verified(options, standing, index: int, main: int, hard: jax.Array, present: jax.Array):
    """Returns whom a main agent meets to see whether it still beats them.

    Copies of main exploiters, if it beats one of them in less than three games of ten; else those
    of a main agent, if it has forgotten how to beat one; else that main agent as it is.
    """
    rate, roles = standing.past[index], options.roles
    own_role = jnp.asarray(roles)[standing.owner]
    exploiters = standing.there & (own_role == MAIN_EXPLOITER)
    exploited = (exploiters & (rate < TOO_STRONG)).any()
    known = until_last_rise(rate, standing.there & (standing.owner == main), standing.age)
    forgotten = (known & (rate < options.beaten)).any()
    weights = _to_all(_shares(hard, jnp.where(exploited, exploiters, known)), roles)
    return jnp.where(exploited | forgotten, weights, present)


def until_last_rise(rate: jax.Array, among: jax.Array, age: jax.Array) -> jax.Array:
    """Returns who is left of some past players without the newest run of ever harder ones, [K].

    That a learner wins less against whoever came later is how it should be, and no forgetting:
    from the last on who is easier than the one before, all are left out that came after.

    Args:
      rate: [K] f32, win rates.
      among: [K] bool, those in question.
      age: [K] int32, distinct, larger for who came later.
    """
    order = jnp.argsort(jnp.where(among, age, jnp.iinfo(age.dtype).max))
    rate, asked = rate[order], among[order]  # those in question come first
    easier = (rate[:-1] < rate[1:]) & asked[1:]
    last = jnp.where(easier, jnp.arange(1, len(rate)), -1).max(initial=-1)
    kept = asked & (jnp.arange(len(rate)) <= last)
    return jnp.zeros_like(among).at[order].set(kept)


def _main_exploiter(options: League, standing: Standing, index: int) -> jax.Array:
    met = lambda main: _present_or_past(options, standing, index, main, HOPELESS)
    return _over_main_agents(options, met)


def _league_exploiter(options: League, standing: Standing, index: int) -> jax.Array:
    """All past players, those alike that it does not beat."""
    capped = jnp.minimum(0.5, 1.0 - standing.past[index])
    return _to_all(_shares(capped, standing.there), options.roles)


def _present_or_past(options, standing, index: int, main: int, least: float) -> jax.Array:
    """Returns the main agent as it is, or its copies by x (1 - x) where it wins too often."""
    num_past = standing.there.size
    present = jax.nn.one_hot(num_past + main, num_past + len(options.roles))
    rate = standing.past[index]
    copies = standing.there & (standing.owner == main)
    past = _to_all(_shares(rate * (1.0 - rate), copies), options.roles)
    strong = (standing.now[index, main] <= least) & copies.any()
    return jnp.where(strong & (main != index), past, present)


def _shares(weights: jax.Array, among: jax.Array) -> jax.Array:
    """Returns weights [K] with sum 1 among some; all alike where they are all 0."""
    weights = jnp.where(among, weights, 0.0)
    weights = jnp.where(weights.sum() > 1e-10, weights, among.astype(weights.dtype))
    return weights / jnp.maximum(weights.sum(), 1e-10)


def _to_all(weights: jax.Array, roles: np.ndarray) -> jax.Array:
    """Returns weights of past players [K] as those of all, [K + L]."""
    return jnp.concatenate([weights, jnp.zeros(len(roles), weights.dtype)])
