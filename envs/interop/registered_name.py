"""What an environment is called in the registry, found by its class."""

import re

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.lazy import listed
from jaxmarl_core.types import Environment


def registered_name(env: Environment) -> str:
    """Returns the name in the registry, or that of the class if it has none.

    A class is named after its builder (`SimpleSpread`, `simple_spread`), or is the only one that is
    built in its module. Where several builders make one class it is the first kind: the battlefield
    is a "battle", too.
    """
    kind = type(env)
    lower = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
    if lower in ENVIRONMENTS:
        return lower
    builders = listed("jaxmarl_core.envs").items()
    here = [name for name, (module, _) in builders if module == kind.__module__]
    return here[0] if len(here) == 1 else kind.__name__
