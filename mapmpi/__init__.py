"""mapmpi: how slowly do atoms move through a solid or a glass?

Reinforcement-learning agents drag a molecule through a material under molecular dynamics and learn the
paths that cost little energy; a piecewise nudged elastic band refines each path; transition-state theory
turns the barriers into a time.
"""

__version__ = "0.1.0"
