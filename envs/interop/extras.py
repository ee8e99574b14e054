"""Optional packages: imported when first needed, named with their extra when they are missing."""

import contextlib
import importlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType


def need(module: str, extra: str) -> ModuleType:
    """Returns an optional module, imported now.

    Args:
      module: its dotted name, such as "jaxmarl.registration".
      extra: the extra of this package that installs it.

    Raises:
      ImportError: its package is not installed; the message has the command that installs it. A
        package that is there but does not import raises its own error.
    """
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        command = f"pip install 'jaxmarl-core[{extra}]'"
        raise ImportError(f"{package} is not installed: {command}", name=package)
    with undisturbed():
        return importlib.import_module(module)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Holds back what other packages print and deprecate while they are imported, built or traced.

    Their advice to each other is of no use to our users, who may treat warnings as errors. Warnings
    other than these pass.
    """
    # JaxMARL sets both streams to the terminal's when it is imported: they are put back here.
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(sys.stderr),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Brax System, piplines", UserWarning)
        yield
