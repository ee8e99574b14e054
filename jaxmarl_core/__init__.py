"""Multi-agent reinforcement learning as pure JAX functions: a training run is one XLA program.

The names most people start from; the rest is in the rooms, see docs/architecture.md.
"""

from jaxmarl_core.lazy import lazy

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy(__name__)
