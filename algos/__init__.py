"""Learners by name: ALGORITHMS maps a name to `builder(env, config) -> Algorithm`."""

from jaxmarl_core.lazy import Registry, lazy

__getattr__, __dir__, __all__ = lazy(__name__)
ALGORITHMS = Registry(__name__)
