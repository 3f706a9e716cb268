"""How much better the best pathway is than the straight drag, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapmpi.climb import Heights
from mapmpi.config import Pneb
from mapmpi.path.pathway import Pathway
from mapmpi.pneb.choose import StoredPath
from mapmpi.pneb.table import highest_barrier_ev, kinetics, ranked
from mapmpi.units import duration_text


def against_straight(paths: Sequence[StoredPath], pathways: Sequence[Pathway], settings: Pneb) -> str | None:
    """Return the comparison of the best refined path of ``paths`` with the straight drag among them.

    By the measure of the training (the climb of the whole path) and by the refined times. None where one of the two
    is missing or has no time.
    """
    temperature = settings.temperatures[0]
    climbs = {path.name: Heights.of(path.energies).climb for path in paths if path.energies is not None}
    straight = {path.name for path in paths if path.straight}
    order = ranked([pathway for pathway in pathways if pathway.name in climbs], settings.prefactor, [temperature])
    drag = next((pathway for pathway in order if pathway.name in straight), None)
    if drag is None or order[0] is drag:
        return None if drag is None else "The straight drag is the best pathway that was refined."
    one, other = (kinetics(pathway, settings.prefactor, temperature) for pathway in (order[0], drag))
    faster = other.passage_time_s / one.passage_time_s
    if not np.isfinite(faster):
        return None
    barriers = [highest_barrier_ev(pathway) for pathway in (order[0], drag)]
    return (
        f"Against the straight drag: a climb of {climbs[order[0].name]:.2f} instead of {climbs[drag.name]:.2f} eV in "
        f"the training; refined, a highest barrier of {barriers[0]:.2f} instead of {barriers[1]:.2f} eV and a passage "
        f"in {duration_text(one.passage_time_s)} instead of {duration_text(other.passage_time_s)} at {temperature:g} "
        f"K, {faster:.3g} times as fast."
    )
