"""Optional packages stay out until they are needed, and say how to get them."""

import subprocess
import sys

import pytest

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.envs.interop.extras import need

OPTIONAL = ("brax", "gymnax", "jaxmarl", "mujoco", "pettingzoo")


def test_no_optional_package_is_imported_with_the_environments():
    program = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # importing it now fails
import jaxmarl_core.envs, jaxmarl_core.envs.interop, jaxmarl_core.registry
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("gymnax", "gymnax"),
        ("jaxmarl", "jaxmarl"),
        ("smax", "jaxmarl"),
        ("multi_agent_brax", "brax"),
    ],
)
def test_what_is_missing_is_named_with_the_command(name, extra, monkeypatch):
    for package in OPTIONAL:
        for module in [each for each in sys.modules if each.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'jaxmarl-core\[{extra}\]'"):
        ENVIRONMENTS[name]()


def test_a_broken_package_shows_its_own_cause(tmp_path, monkeypatch):
    (tmp_path / "halfway_there.py").write_text("import a_module_nobody_wrote\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_nobody_wrote") as caught:
        need("halfway_there", "anything")
    assert "pip install" not in str(caught.value)
