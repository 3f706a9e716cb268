"""The environments that Gymnasium knows by an id, once this module has been imported.

``gymnasium.make("mapmpi.env.ids:mapmpi/CopperAdatom-v0")`` imports it by itself. Nothing else is loaded before an
environment is made.
"""

from __future__ import annotations

from pathlib import Path

import gymnasium

NAMESPACE = "mapmpi"
INPUTS = Path(__file__).parent / "inputs"
"""Inputs that come with mapmpi; in its repository a link to the top folder inputs/."""
FILES = {"CopperAdatom-v0": "copper-adatom.yaml", "SilicaSmall-v0": "silica-small.yaml"}
"""Ids behind ``mapmpi/``, and their inputs."""

for _name, _file in FILES.items():
    gymnasium.register(f"{NAMESPACE}/{_name}", "mapmpi.env.gym:make_registered", kwargs={"file": _file})
