"""What options mean, in words: read off the docstrings and comments of those who declare them."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable
from typing import Any

GLOSSARY = {  # what is the same wherever it is said; what a class or a builder says itself wins
    "activation": "of the dense layers: tanh or relu",
    "anneal_steps": "environment steps in which exploration falls to its final value",
    "anneal_updates": "updates in which what is annealed reaches its end",
    "batch_size": "transitions, or sequences, in a gradient step",
    "buffer_length": "time steps that the replay buffer keeps",
    "capacity": "sequences that the replay buffer keeps",
    "clip": "how far the ratio of probabilities may move from 1",
    "critic_learning_rate": "of the critics",
    "entropy": "weight of the entropy bonus",
    "entropy_updates": "updates in which the entropy's weight reaches its final value",
    "epsilon": "probability of a random action at first",
    "explore_steps": "environment steps in which epsilon falls to its final value",
    "final_entropy": "weight of the entropy bonus in the end",
    "final_epsilon": "probability of a random action in the end",
    "final_temperature": "of the Boltzmann policy in the end",
    "first_value": "of every action before anything is learnt",
    "find": "how equilibria are found: lemke_howson, one_path of it, or all vertices",
    "friends": "who is a friend: the own team, all, or none",
    "gae_lambda": "of the advantage estimates; 0 is one-step TD, 1 is Monte Carlo",
    "gamma": "discount of later rewards",
    "huber": "error, in units of the returns' deviation, beyond which the value loss is straight",
    "hidden": "sizes of the dense layers",
    "layer_norm": "of observations, and behind every dense layer",
    "leniency": "how fast forgiveness cools",
    "leader": "who leads, player 0 or 1",
    "learning_rate": "step size",
    "lose_ratio": "step when losing over step when winning",
    "max_grad_norm": "gradients longer than this are scaled down to it",
    "num_envs": "environments that are played at once",
    "num_epochs": "times that an update goes through its batch",
    "num_gradient_steps": "gradient steps in an update",
    "num_minibatches": "parts that a batch is cut into",
    "objective": "which equilibrium: utilitarian, egalitarian, plutocratic or libertarian",
    "optimiser": "adam, or rmsprop",
    "optimiser_eps": "of the optimiser",
    "play": "a referee draws for all, or each from its own marginals",
    "rate": "how learning rates fall: constant, or with the visits of a state and action",
    "replay": "how batches are drawn from what was played",
    "rollout_length": "environment steps that an update plays in each environment",
    "select": "which equilibrium, where there are several",
    "slack": "how far below the best an action may be at first",
    "slack_power": "how fast the slack falls",
    "stride": "of the convolutions",
    "sweeps": "of value iteration in an update",
    "td_lambda": "of the returns that are learnt; 0 is one-step TD",
    "tau": "share of the online network in the next target network",
    "temperature": "of the Boltzmann policy at first",
    "value_clip": "how far a prediction may move, in units of the returns' deviation",
    "win_step": "step of hill climbing when winning",
}
NEVER = 1e12  # a number of updates or steps that no run reaches


def option_texts(owner: Any, names: Iterable[str]) -> dict[str, str]:
    """Returns option -> what it means, "" where nobody says.

    Args:
      owner: a builder whose docstring has its arguments, or a dataclass with a docstring or with
        comments beside its fields.
      names: of the options.
    """
    names = list(names)
    said = docstring_texts(inspect.getdoc(owner) or "", names)
    beside = field_comments(owner) if inspect.isclass(owner) else {}
    return {name: said.get(name) or beside.get(name) or GLOSSARY.get(name, "") for name in names}


def docstring_texts(docstring: str, names: Iterable[str]) -> dict[str, str]:
    """Returns what a docstring says of names, in entries "name: ..." or "name, other: ...".

    An entry goes on as long as lines are indented further than its first.
    """
    known, found, entry, depth = set(names), {}, [], 0
    for line in docstring.splitlines():
        indent = len(line) - len(line.lstrip())
        head = re.match(r"\s*([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*): (.+)", line)
        if head and set(head[1].split(", ")) & known and not (entry and indent > depth):
            entry, depth = head[1].split(", "), indent
            found |= dict.fromkeys(entry, head[2].strip())
        elif entry and line.strip() and indent > depth:
            found |= {name: f"{found[name]} {line.strip()}" for name in entry}
        else:
            entry = []
    return {name: text.rstrip(".") for name, text in found.items() if name in known}


def field_comments(record: type) -> dict[str, str]:
    """Returns field -> the comment beside its declaration in a class; {} without its source."""
    try:
        source = textwrap.dedent(inspect.getsource(record))
    except (OSError, TypeError):
        return {}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        t.start[0]: t.string.lstrip("# ").rstrip(".") for t in tokens if t.type == tokenize.COMMENT
    }
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            beside = [comments.get(i) for i in range(node.lineno, (node.end_lineno or 0) + 1)]
            found[node.target.id] = " ".join(filter(None, beside))
    return found


def number_text(field: Any, text: str) -> str:
    """Returns what a hyper-parameter means, and its range.

    Args:
      field: its declaration, see `hparams.hparam`.
      text: what it means.
    """
    low, high = field.metadata.get("low", "-inf"), field.metadata.get("high", "inf")
    within = f"in [{low:g}, {high:g}]" if isinstance(low, float) else ""
    scale = ", on a log scale" if field.metadata.get("scale") == "log" else ""
    return "; ".join(filter(None, [text, within + scale]))


def never(value: Any) -> bool:
    """Returns whether a default is so many updates or steps that it never happens."""
    return isinstance(value, float) and value >= NEVER
