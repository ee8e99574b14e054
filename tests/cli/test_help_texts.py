"""What options mean: found where it is written, and written everywhere."""

import dataclasses
import importlib
import inspect
import pkgutil
import tomllib

import numpy as np
import pytest

from jaxmarl_core import algos, registry
from jaxmarl_core import hparams as hp
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.cli import main
from jaxmarl_core.cli.help_texts import docstring_texts, field_comments, never, option_texts
from jaxmarl_core.cli.spec import template
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.sweeps.spec import Evaluation, Spec, from_dict, variants

DOCSTRING = """Returns a world.

The first: no option of that name.

Args:
  rows, columns: at least 2; a line
    that goes on, first: as ever.
  walls: closed cells.

Raises:
  ValueError: rows: too few.
"""


def test_entries_of_a_docstring():
    assert docstring_texts(DOCSTRING, ["rows", "columns", "walls", "first", "other"]) == {
        "rows": "at least 2; a line that goes on, first: as ever",
        "columns": "at least 2; a line that goes on, first: as ever",
        "walls": "closed cells",
    }


@dataclasses.dataclass
class Record:
    first: int = 1  # of all
    second: tuple = (
        1,
        2,
    )  # over lines
    third: str = "#"


def test_comments_beside_fields():
    assert field_comments(Record) == {"first": "of all", "second": "over lines", "third": ""}


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_every_option_of_every_environment_has_a_text(name):
    options = registry.environment_options(name)
    texts = option_texts(registry.environment_builder(name), options)
    assert [option for option in options if not texts[option]] == []


def test_every_option_of_every_algorithm_has_a_text():
    missing = set()
    for name in ALGORITHMS:
        config = registry.config_type(name)
        texts = option_texts(config, [f.name for f in dataclasses.fields(config)])
        missing |= {f"{config.__module__}: {option}" for option, text in texts.items() if not text}
    assert missing == set()


def test_every_number_of_every_algorithm_has_a_text():
    missing = set()
    for module in pkgutil.walk_packages(algos.__path__, "jaxmarl_core.algos."):
        for record in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(record) and dataclasses.is_dataclass(record):
                numbers = [f.name for f in dataclasses.fields(record) if "scale" in f.metadata]
                texts = option_texts(record, numbers)
                missing |= {f"{record.__module__}: {name}" for name in numbers if not texts[name]}
    assert missing == set()


@pytest.mark.parametrize("record", [Spec, Evaluation])
def test_every_field_of_a_spec_has_a_text(record):
    tables = ("algorithm", "environment", "environment_options", "config", "hparams", "grid",
              "random", "evaluation", "seeds", "first_seed", "updates", "higher_is_better",
              "episodes", "greedy")  # fmt: skip
    texts = field_comments(record)
    names = [f.name for f in dataclasses.fields(record)]
    assert [name for name in names if not texts[name] and name not in tables] == []


def uncommented(text):
    """A template with its defaults said, but for those that need an opponent."""
    text = text.split("[pool]")[0]
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    return "\n".join(line for line in lines if " = ..." not in line and "GROUP" not in line)


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [("q_learning", "matrix_game"), ("ippo", "simple_spread"), ("mfq", "battle")],
)
def test_a_template_is_a_spec_and_its_comments_are_the_defaults(algorithm, environment):
    text = template(algorithm, environment)
    (plain,) = variants(from_dict(tomllib.loads(text)))
    (said,) = variants(from_dict(tomllib.loads(uncommented(text))))
    for name in hp.names(plain.hparams):
        np.testing.assert_array_equal(getattr(plain.hparams, name), getattr(said.hparams, name))
    assert plain.env.groups == said.env.groups
    assert len(text.split("[pool]")[0].splitlines()) < len(uncommented(text).splitlines()) + 20
    options = inspect.signature(registry.environment_builder(environment)).parameters
    assert all(f"# {option} = " in text for option in options)


def test_the_template_is_printed(capsys):
    main(["spec", "q_learning", "matrix_game"])
    assert capsys.readouterr().out == template("q_learning", "matrix_game")


def test_what_never_happens():
    assert never(1e12) and not never(1e6) and not never(None) and not never("1e12")
