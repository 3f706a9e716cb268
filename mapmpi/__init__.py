"""mapmpi: how slowly do atoms move through a solid or a glass?

Reinforcement-learning agents drag a molecule through a material in reactive simulations and learn the
paths that cost little energy; a piecewise nudged elastic band refines each path; transition-state theory
turns the barriers into a time.

Importing the package loads nothing; what it offers is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mapmpi.config import load
    from mapmpi.env.environment import Environment
    from mapmpi.env.gym import make
    from mapmpi.library.barriers import find_barrier, refine
    from mapmpi.library.reading import read_episode, read_pathway

__version__ = "0.1.0"
__all__ = ["Environment", "find_barrier", "load", "make", "read_episode", "read_pathway", "refine"]

_MODULES = {
    "Environment": "mapmpi.env.environment",
    "find_barrier": "mapmpi.library.barriers",
    "load": "mapmpi.config",
    "make": "mapmpi.env.gym",
    "read_episode": "mapmpi.library.reading",
    "read_pathway": "mapmpi.library.reading",
    "refine": "mapmpi.library.barriers",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mapmpi' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
