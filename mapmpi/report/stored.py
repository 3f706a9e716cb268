"""The refined pathways of a run as a report needs them: the one place that knows how phase 2 keeps them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np

from mapmpi.config import Config, Pneb
from mapmpi.errors import UserError
from mapmpi.path.pathway import Pathway, center
from mapmpi.pneb import record
from mapmpi.pneb.table import PREFACTOR_TEXT, ranked
from mapmpi.store.rundir import RunDirectory

MOST_PATHWAYS = 40
"""So many files of pathways are read; phase 2 refines a few."""

_TIME = re.compile(r"time_s_([0-9.e+-]+)K")


def tagged_centers(pathway: Pathway) -> np.ndarray:
    """Return the center of mass of the tagged atoms in every frame of a pathway, (f, 3) Å."""
    frames = np.array([point.positions for point, *_ in pathway.frames()])
    return center(frames, pathway.atoms, pathway.tagged)


def read_settings(directory: RunDirectory, config: Config) -> tuple[Pneb, list[str]]:
    """Return the input's settings with prefactor and temperatures of the last ranking, and the names that it ranks.

    They are those of the input where nothing was ranked yet.
    """
    try:
        with open(directory.pathways / "pathways.csv", encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            rows = [row for row, _ in zip(reader, range(MOST_PATHWAYS), strict=False)]
        fields = [match[1] for name in reader.fieldnames or () if (match := _TIME.fullmatch(name or ""))]
        kelvins = [value for value in map(float, fields) if 0.0 < value < 1e6]
        prefactor = rows[0]["prefactor"]
        if kelvins and prefactor in PREFACTOR_TEXT:
            found = {"prefactor": prefactor, "temperatures": kelvins}
            return config.pneb.model_copy(update=found), [row["name"] or "" for row in rows]
    except (OSError, ValueError, LookupError, csv.Error):
        pass
    return config.pneb, []


def read_all(directory: RunDirectory, settings: Pneb, names: Sequence[str]) -> tuple[list[Pathway], list[str]]:
    """Return the refined pathways of a run by their rank, and a sentence for each file that cannot be read.

    ``names`` are those of the last ranking; what lies there besides is of other settings, unless it is newer than the
    ranking: then phase 2 is under way.
    """
    ranking = directory.pathways / "pathways.csv"
    files = sorted(directory.pathways.glob("*.h5"))
    if names:
        since = ranking.stat().st_mtime
        files = [file for file in files if file.stem in names or file.stat().st_mtime > since]
    found, troubles = [], []
    for file in files[:MOST_PATHWAYS]:
        try:
            found.append(record.load(file))
        except UserError as error:
            troubles.append(str(error))
    return ranked(found, settings.prefactor, settings.temperatures), troubles
