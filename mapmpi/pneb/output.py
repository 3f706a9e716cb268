"""What phase 2 leaves: a file per pathway with extxyz beside it, the ranking, figures, and words at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from mapmpi.config import Config, renamed
from mapmpi.errors import UserError
from mapmpi.path.assembly import NAME, fastest_pathway, pool
from mapmpi.path.diffusion import Diffusion
from mapmpi.path.matching import Matcher
from mapmpi.path.pathway import Pathway
from mapmpi.pneb import record
from mapmpi.pneb.corrections import corrections_table, hop_columns
from mapmpi.pneb.diffusion import FILE, network_diffusion, sentences, symmetry_of, write_diffusion
from mapmpi.pneb.export import write_band, write_transition_states
from mapmpi.pneb.figure import profile_figure
from mapmpi.pneb.table import hops_table, ranked, terminal_table, write_csv, write_hops_csv
from mapmpi.store.rundir import RunDirectory, versions

_NOT_PHYSICS = {"top", "straight", "temperatures", "ranks_per_image", "wall_time", "symmetry", "stride"}
"""Settings of phase 2 that change no barrier; the first temperature is kept apart."""


class Output:
    """Writes into the run directory; ``pathways`` are all that have been refined with the same settings."""

    def __init__(self, config: Config, directory: RunDirectory, matcher: Matcher) -> None:
        self.config, self.settings, self.directory, self.matcher = config, config.pneb, directory, matcher
        self.pathways: list[Pathway] = []
        self.diffusion: dict[tuple[float, str], Diffusion] = {}
        physics = config.pneb.model_dump(mode="json", exclude=_NOT_PHYSICS)
        physics["temperature"] = config.pneb.temperatures[0]  # it chose each pathway's way
        self._physics = {"forcefield": config.forcefield.model_dump(mode="json"), "pneb": physics}

    def write(self, pathway: Pathway) -> None:
        """Write a pathway's own files."""
        folder, name = self.directory.pathways, pathway.name
        record.save(folder / f"{name}.h5", pathway, {**self._physics, "versions": versions()})
        write_band(folder / f"{name}.xyz", pathway)
        for old in folder.glob(f"{name}-ts-*.xyz"):
            old.unlink()
        write_transition_states(folder, pathway)
        quantum = hop_columns(pathway, self.settings.temperatures) if self.settings.prefactor == "vineyard" else ()
        write_hops_csv(folder / f"{name}-hops.csv", pathway, quantum)
        profile_figure(self.directory.figures / f"{name}-profile.png", pathway)

    def write_all(self, refined: Sequence[Pathway]) -> None:
        """Find the network's route, write it, and rank everything; nothing at all where nothing was refined."""
        if not refined:
            return
        settings = self.settings
        self.pathways = [*refined, *self._earlier({pathway.name for pathway in refined} | {NAME})]
        pooled = pool(self.pathways, self.matcher, settings.prefactor)
        route = fastest_pathway(
            self.pathways, pooled, settings.prefactor, settings.temperatures, settings.remote_distance
        )
        for old in [*self.directory.pathways.glob(f"{NAME}*"), *self.directory.figures.glob(f"{NAME}-*")]:
            old.unlink()
        if route is not None:
            self.write(route)
            self.pathways.append(route)
        path = self.directory.pathways / "pathways.csv"
        write_csv(path, self.pathways, settings.prefactor, settings.temperatures)
        network, numbers = pooled
        ids = self.config.structure.fixed_atoms
        fixed = [number - 1 for number in ids] if isinstance(ids, list) else []
        symmetry = symmetry_of(self.pathways[0], fixed) if settings.symmetry else None
        self.diffusion = network_diffusion(
            network, numbers[0][0], settings.prefactor, settings.temperatures, symmetry
        )
        write_diffusion(self.directory.pathways / FILE, self.diffusion, settings.prefactor)

    def _earlier(self, names: set[str]) -> list[Pathway]:
        """Return the pathways of earlier runs with the same settings."""
        pathways = []
        for path in sorted(self.directory.pathways.glob("*.h5")):
            if path.stem in names:
                continue
            try:
                if self._same_physics(record.load_settings(path)):
                    pathways.append(record.load(path))
            except UserError:
                continue  # a file of another version; it stays where it is
        return pathways

    def _same_physics(self, settings: dict[str, Any]) -> bool:
        return all(renamed(settings).get(key) == value for key, value in self._physics.items())

    def tell(self, console: Console) -> None:
        """Print the ranking, the best pathway hop by hop, and where everything lies."""
        best = ranked(self.pathways, self.settings.prefactor, self.settings.temperatures)
        console.print(terminal_table(best, self.settings.prefactor, self.settings.temperatures))
        console.print(hops_table(best[0]))
        if self.settings.prefactor == "vineyard":
            console.print(corrections_table(best[0], self.settings.temperatures))
        for sentence in sentences(self.diffusion):
            console.print(sentence, highlight=False, soft_wrap=True)
        for pathway in best:
            for note in pathway.notes:
                console.print(f"{pathway.name}: {note}.", highlight=False, soft_wrap=True)
        console.print(
            f"Pathways: {self.directory.pathways}/pathways.csv; profiles: {self.directory.figures}", soft_wrap=True
        )
