"""The input: one set of pydantic models is its schema, its documentation and its defaults.

``load("input.yaml", ["train.stop.wall_time=60s"])`` reads a file, lays the preset of its ``mode`` under it and
the command line's settings over it, and refuses what it does not know or cannot use with a UserError.
"""

from mapmpi.config.environment import Actions, Goal, Rewards, StateGrid
from mapmpi.config.material import AtomRegion, Dynamics, ForceField
from mapmpi.config.model import Config
from mapmpi.config.reading import load, load_forcefield, parse
from mapmpi.config.refinement import BandSettings, ConnectSettings, Pneb, QuenchSettings, SaddleSettings
from mapmpi.config.section import Vector, unit
from mapmpi.config.training import Exploration, Learning, NetworkSettings, ReplaySettings, Stop, Train
from mapmpi.config.trees import merged, renamed

__all__ = [
    "Actions",
    "AtomRegion",
    "BandSettings",
    "Config",
    "ConnectSettings",
    "Dynamics",
    "Exploration",
    "ForceField",
    "Goal",
    "Learning",
    "NetworkSettings",
    "Pneb",
    "QuenchSettings",
    "ReplaySettings",
    "Rewards",
    "SaddleSettings",
    "StateGrid",
    "Stop",
    "Train",
    "Vector",
    "load",
    "load_forcefield",
    "merged",
    "parse",
    "renamed",
    "unit",
]
