"""What a run of phase 2 is for: to refine paths, or to ask another potential about pathways that were refined."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rich.console import Console

from mapmpi.calculation import Calculation
from mapmpi.config import Config
from mapmpi.path.pathway import Pathway
from mapmpi.pneb import opinion
from mapmpi.pneb.calculator import Calculator
from mapmpi.pneb.choose import StoredPath
from mapmpi.pneb.comparison import against_straight
from mapmpi.pneb.output import Output
from mapmpi.pneb.refine import Refinement
from mapmpi.store.rundir import RunDirectory


class Work(ABC):
    """Something to compute for ``paths`` paths in a run directory; ``choice`` says which these are."""

    paths: int
    choice: str
    directory: RunDirectory

    @abstractmethod
    def compute(self, calculator: Calculator, console: Console) -> Calculation[None]:
        """Compute and write all there is; what fails is told at once. Raises OSError where files cannot be written."""

    @abstractmethod
    def tell(self, console: Console) -> bool:
        """Print what came out, and return whether anything did."""


class Refining(Work):
    """Refines stored paths side by side; each is written when it is done."""

    def __init__(self, config: Config, directory: RunDirectory, stored: list[StoredPath], choice: str) -> None:
        self.config, self.directory, self.stored = config, directory, stored
        self.paths, self.choice = len(stored), choice

    def compute(self, calculator: Calculator, console: Console) -> Calculation[None]:
        self.output = Output(self.config, self.directory, calculator.matcher)
        found = yield [self._refine(stored, calculator, console) for stored in self.stored]
        self.output.write_all([pathway for pathway in found if pathway is not None])

    def _refine(self, stored: StoredPath, calculator: Calculator, console: Console) -> Calculation[Pathway | None]:
        found = yield from Refinement(self.config, calculator, stored).run()
        if found is None:
            console.print(f"{stored.name}: the simulation failed for every frame; left out.")
        else:
            self.output.write(found)
        return found

    def tell(self, console: Console) -> bool:
        if not self.output.pathways:
            return False
        self.output.tell(console)
        compared = against_straight(self.stored, self.output.pathways, self.config.pneb)
        if compared is not None:
            print(compared)
        return True


class Asking(Work):
    """Asks the potential that the calculator has, the ``other``, about the hops of refined pathways."""

    def __init__(self, directory: RunDirectory, other: str) -> None:
        """``other`` is what the command line calls it. Raises UserError where there are no pathways."""
        self.directory, self.pathways, self.other = directory, opinion.refined(directory), opinion.label(other)
        self.paths = len(self.pathways)
        self.choice = f"A second opinion on the {self.paths} refined pathways, in the cell of the run."

    def compute(self, calculator: Calculator, console: Console) -> Calculation[None]:
        self.opinions = yield from opinion.opinions(self.pathways, calculator)
        opinion.write(self.directory, self.other, self.opinions)

    def tell(self, console: Console) -> bool:
        opinion.tell(console, self.opinions, self.other, self.directory)
        return True
