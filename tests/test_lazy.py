"""Names that are known before what they name is imported."""

import json
import subprocess
import sys

import pytest

import jaxmarl_core
from jaxmarl_core import algos, envs
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.lazy import first_line

OPTIONAL = {"matplotlib", "rich", "orbax", "distrax", "brax", "tyro", "jaxmarl", "gymnax"}


def imported_by(line):
    """Returns the top-level packages that a fresh Python holds after a line."""
    code = f"{line}\nimport json, sys\nprint(json.dumps([m.split('.')[0] for m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(out.stdout.splitlines()[-1]))


def test_the_front_door_imports_nothing_until_asked():
    assert not imported_by("import jaxmarl_core") & (OPTIONAL | {"jax", "flax"})
    listing = "import jaxmarl_core; from jaxmarl_core.cli import main; main(['list'])"
    assert not imported_by(listing) & (OPTIONAL - {"rich"} | {"jax"})
    training = "from jaxmarl_core import make_train, make_environment, make_algorithm"
    assert not imported_by(training) & (OPTIONAL - {"rich"})  # flax imports rich


def test_every_name_of_the_front_door_is_there_and_listed():
    assert 20 <= len(jaxmarl_core.__all__) <= 30
    assert set(jaxmarl_core.__all__) | {"__version__"} <= set(dir(jaxmarl_core))
    for name in jaxmarl_core.__all__:
        assert getattr(jaxmarl_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        jaxmarl_core.sweeep  # noqa: B018 - the access is the test


@pytest.mark.parametrize(("package", "registry"), [(algos, ALGORITHMS), (envs, ENVIRONMENTS)])
def test_a_registry_holds_what_its_package_offers(package, registry):
    assert list(registry) == sorted(package.__all__) and len(registry) > 30
    for name, line in registry.descriptions().items():
        assert getattr(package, name) is registry[name]
        assert registry[name].__name__ == name
        assert line.endswith((".", ";", ",")) and len(line) > 20, (name, line)
    with pytest.raises(KeyError, match="did you mean"):
        registry["qmixx" if package is algos else "batle"]


def test_a_description_is_the_first_line_of_the_module():
    module = "jaxmarl_core.algos.tabular.wolf_phc"
    assert first_line(module) == algos.wolf_phc.__globals__["__doc__"].split("\n")[0]
    assert first_line("jaxmarl_core.envs.matrix_games") == envs.matrix_games.__doc__
