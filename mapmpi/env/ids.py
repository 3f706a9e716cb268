"""The environments that Gymnasium knows by an id; it calls :func:`register` when it is imported itself."""

from __future__ import annotations

from pathlib import Path

NAMESPACE = "mapmpi"
INPUTS = Path(__file__).parent / "inputs"
"""Inputs that come with mapmpi; in its repository a link to the top folder inputs/."""
FILES = {"CopperAdatom-v0": "copper-adatom.yaml", "SilicaSmall-v0": "silica-small.yaml"}
"""Ids behind ``mapmpi/``, and their inputs."""


def register() -> None:
    """Tell Gymnasium the ids; nothing else is loaded."""
    import gymnasium

    for name, file in FILES.items():
        if (known := f"{NAMESPACE}/{name}") not in gymnasium.registry:
            gymnasium.register(known, entry_point="mapmpi.env.gym:make_registered", kwargs={"file": file})
