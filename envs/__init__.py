"""Environments by name: ENVIRONMENTS maps a name to `builder(**options) -> Environment`."""

from jaxmarl_core.lazy import Registry, lazy

__getattr__, __dir__, __all__ = lazy(__name__)
ENVIRONMENTS = Registry(__name__)
