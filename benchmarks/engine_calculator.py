"""An engine of mapmpi as a calculator of ASE, whose own NEB and optimizers benchmarks compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from mapmpi.md.engine import Engine


class EngineCalculator(Calculator):
    """Energy and forces by an ``engine``; ``calls`` counts them."""

    implemented_properties = ("energy", "forces")

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine, self.calls = engine, 0

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        """Compute both, whichever is asked for."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        found = self.engine.evaluate(self.atoms.positions)
        self.calls += 1
        self.results = {"energy": found.energy, "forces": np.array(found.forces)}
