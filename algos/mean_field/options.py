"""What mean-field learners can be told: the program's shape, and the traced numbers."""

from dataclasses import dataclass

from flax import struct

from jaxmarl_core.errors import lookup, require, require_sizes
from jaxmarl_core.hparams import hparam
from jaxmarl_core.recipes import require_kinds

CHOICES = {
    "exploration": ("boltzmann", "greedy"),
    "temperature_unit": ("reward", "spread"),
    "target": ("mean_field", "double"),
    "mean_action": ("current", "previous"),
    "ends": ("learn", "mask"),
    "self_play": ("shared", "lagged"),
    "acting": ("online", "target"),
}


@dataclass(frozen=True)
class Config:
    """What shapes the program. What only some recipes have is None: as the recipe has it.

    exploration: "boltzmann" draws from softmax(Q / temperature), as the paper; "greedy" takes the
      best action, as its program does in effect (its schedule never reaches the graph). An actor
      is a policy, and draws from it.
    temperature_unit: "reward", the temperature is in units of Q, as the paper; "spread", in units
      of the standard deviation of a state's Q-values over its legal actions, so that it means the
      same whatever rewards are and however far learning is.
    centre: side in cells of the square around the middle of an image-like observation that the
      dense layers also see as it is, odd; 0: none. Convolutions blur which neighbour is which.
    target: "mean_field" values a state by the Boltzmann policy's mean, as the paper (eq. 10);
      "double" by the online network's best action, as the program.
    ends: "learn" from the transition that ends an agent's episode, as the paper; "mask" it out of
      the loss, as the program.
    self_play: "shared", all groups play and teach one network; "lagged", the first group learns
      and the others follow it: after an update in which it won an episode on return they move
      nearly all the way (0.99) towards it, as the program.
    heats: factors of the temperature: in copy i of the environment group g plays at the temperature
      times `heats[(i + g) % len(heats)]`. With (1.0, 1.0, 10.0) one army in three acts nearly at
      random, and is met by one that does not: who only ever meets its like forgets how to fight
      others (as actors of different exploration: Horgan et al., 2018, arXiv:1803.00933).
    acting: who plays, in the replay and afterwards: the "online" network, as the paper; or the
      "target" network, an average of it over about 1 / tau gradient steps. Where neighbours learn
      too, what one gradient step changes is answered by the next, and play swings; an average
      stays where they swing around.
    mean_action: Q(s_t, a_t, .) is learned beside "current", the actions taken at t, as the paper's
      algorithm 1; or "previous", those of t - 1, as the program. Acting sees those of t - 1 either
      way: the current ones are not known yet.
    stored_agents: how many of the agents that learn the replay follows, in proportion to their
      groups, drawn anew for each episode; 0: all. What it holds then does not grow with the
      population, of which a batch is a sample either way.
    mean_action_hidden: sizes of the layers over the mean action.
    mean_action_iterations: agents act on the mean action of the step before, 0; or on what the
      paper's eq. 11 and 12 tend to: each draws an action beside it, the mean of these takes its
      place, and so on, as often as told. Every agent plays this through for all the others. What
      a following state is worth, and how an actor is improved, goes by the mean action seen there.
    actor_mean_action: whether an actor sees the mean action of the step before; neither the
      paper's nor its program's does.
    """

    num_envs: int = 1
    rollout_length: int = 16
    buffer_length: int = 256  # time steps kept per environment
    stored_agents: int = 0  # of those that learn, drawn for each episode; 0: all
    batch_size: int = 256
    num_gradient_steps: int = 4
    channels: tuple[int, ...] = (16,)  # of the convolutions over an image-like observation
    kernel: int = 5  # on 13 x 13 cells, 5 and 4 make 3 x 3 windows, the middle one around oneself
    stride: int = 4
    hidden: tuple[int, ...] = (64,)  # over all that is observed
    head_hidden: tuple[int, ...] = (64,)  # over that and the mean action
    centre: int = 0
    temperature_unit: str = "reward"
    ends: str = "learn"
    self_play: str = "shared"
    acting: str = "online"
    exploration: str | None = None
    target: str | None = None
    heats: tuple[float, ...] | None = None
    mean_action: str | None = None
    mean_action_hidden: tuple[int, ...] | None = None
    mean_action_iterations: int | None = None
    actor_mean_action: bool | None = None

    def __post_init__(self):
        require_kinds(self)
        counts = ("num_envs", "rollout_length", "batch_size", "num_gradient_steps")
        for field in (*counts, "kernel", "stride"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        fits = self.centre == 0 or (self.centre > 0 and self.centre % 2 == 1)
        require(fits, "centre", "0 or an odd number of cells", self.centre)
        fits = self.buffer_length % self.rollout_length == 0 and self.buffer_length >= 2
        expected = f"at least 2 and a multiple of rollout_length ({self.rollout_length})"
        require(fits, "buffer_length", expected, self.buffer_length)
        given = {name: x for name, x in vars(self).items() if x is not None}
        for field in ("channels", "hidden", "head_hidden", "mean_action_hidden"):
            if field in given:
                require_sizes(field, given[field])
        require(self.stored_agents >= 0, "stored_agents", "at least 0", self.stored_agents)
        times = given.get("mean_action_iterations", 0)
        require(times >= 0, "mean_action_iterations", "at least 0", times)
        if "actor_mean_action" in given:
            sees = given["actor_mean_action"]
            require(isinstance(sees, bool), "actor_mean_action", "True or False", sees)
        heats = given.get("heats", (1.0,))
        fits = len(heats) >= 1 and all(0 < x < float("inf") for x in heats)
        require(fits, "heats", "at least one factor, each above 0 and finite", heats)
        fits = set(heats) == {1.0} or self.exploration != "greedy"
        require(fits, "heats", "(1.0,) where exploration has no temperature, greedy", heats)
        for field, choices in CHOICES.items():
            if field in given:
                lookup(dict.fromkeys(choices), given[field], field)


@struct.dataclass
class Hparams:
    """Traced numbers; the temperature falls geometrically over the first `anneal_updates`.

    It is that of the Boltzmann policy, or the weight of an actor's entropy, whose best policy is
    that Boltzmann policy; in units of Q, or as `temperature_unit` says.
    Numbers of env steps are of `Algorithm.env_steps` an update, those after an end included.
    """

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")  # of Q
    actor_learning_rate: float | None = hparam(None, 0.0, 1.0, "log")  # of an actor
    gamma: float = hparam(0.95, 0.0, 1.0)
    tau: float = hparam(0.01, 0.0, 1.0, "log")  # weight of the online network in the next target
    learning_starts: float = hparam(0.0, 0.0, 1e12)  # env steps before the first gradient step
    temperature: float = hparam(0.1, 1e-6, 1e6, "log")
    final_temperature: float = hparam(0.05, 1e-6, 1e6, "log")
    anneal_updates: float = hparam(100.0, 1.0, 1e9, "log")
