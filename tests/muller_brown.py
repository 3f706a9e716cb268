"""A landscape with known saddles: Müller and Brown, Theor. Chim. Acta 53, 75 (1979), in units of 0.01 eV.

Atom 0 moves on it in x and y, bound harmonically in z; the others sit in wells of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial

import numpy as np
from ase import Atoms
from scipy.sparse import csc_matrix, identity

from mapmpi.calculation import Forces, solve
from mapmpi.config import BandSettings, Pneb, QuenchSettings, SaddleSettings
from mapmpi.path.band import images_for, interpolate, path_lengths, resample
from mapmpi.path.barrier import Barrier, BarrierSearch
from mapmpi.path.connection import Connection
from mapmpi.path.matching import Matcher, StationaryPoint
from mapmpi.path.network import Gap
from mapmpi.path.preconditioner import UNIT, Metric

SCALE = 0.01
HEIGHT = np.array([-200.0, -100.0, -170.0, 15.0])
XX, XY, YY = np.array([[-1, -1, -6.5, 0.7], [0, 0, 11, 0.6], [-10, -10, -6.5, 0.7]])
X0, Y0 = np.array([[1, 0, -0.5, -1], [0, 0.5, 1.5, 1]])
MINIMA = {
    "deep": (-0.558224, 1.441726, -146.69952),
    "middle": (-0.050011, 0.466694, -80.76782),
    "right": (0.623499, 0.028038, -108.16672),
}
SADDLES = {"upper": (-0.822001, 0.624313, -40.66484), "lower": (0.212487, 0.292988, -72.24894)}
HOST = np.array([[6.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 6.0], [6.0, 6.0, 6.0]])
ATOMS = Atoms("OSi4", np.vstack([np.zeros(3), HOST]), cell=np.eye(3) * 20, pbc=False)
MATCHER = Matcher(ATOMS.numbers, ATOMS.cell.array, ATOMS.pbc, 0.1, 0.01)
TOLERANCE_EV = 1e-4 * SCALE * 200
"""1e-4 of the energy scale."""
FINE = Pneb(saddle=SaddleSettings(force=1e-3), quench=QuenchSettings(force=1e-3))


class Uniform(Metric):
    """Takes all directions of so many atoms as equally stiff."""

    def __init__(self, count: int) -> None:
        super().__init__(Atoms(numbers=[1] * count), np.zeros((count, 3)))

    @cached_property
    def _matrix(self) -> csc_matrix:
        return csc_matrix(UNIT * identity(3 * len(self._atoms)))


def place(x: float, y: float) -> np.ndarray:
    """Return all positions (5, 3) with the mobile atom at x, y."""
    return np.vstack([[x, y, 0.0], HOST])


def evaluate(positions: np.ndarray) -> Forces:
    """Return energy in eV and forces (5, 3) in eV/Å."""
    x, y, z = positions[0]
    dx, dy = x - X0, y - Y0
    terms = HEIGHT * np.exp(XX * dx**2 + XY * dx * dy + YY * dy**2)
    slope = [terms @ (2 * XX * dx + XY * dy), terms @ (XY * dx + 2 * YY * dy), 200 * z]
    apart = positions[1:] - HOST
    energy = terms.sum() + 100 * z**2 + 100 * (apart**2).sum()
    return Forces(SCALE * float(energy), -SCALE * np.vstack([slope, 200 * apart]))


def minimum(name: str) -> StationaryPoint:
    """Return a known minimum."""
    x, y, energy = MINIMA[name]
    return StationaryPoint(place(x, y), SCALE * energy)


def hessian(positions: np.ndarray) -> np.ndarray:
    """Return the Hessian (15, 15) eV/Å² by small central differences."""
    rows = []
    for step in 1e-5 * np.eye(positions.size).reshape(-1, *positions.shape):
        rows.append((evaluate(positions - step)[1] - evaluate(positions + step)[1]).ravel() / 2e-5)
    return np.array(rows)


def search(energies: tuple[float, float], path: list[np.ndarray]) -> Barrier:
    """Search a barrier along a path, as many images as its length asks for; two ends alone are interpolated."""
    count = images_for(path_lengths(np.array(path))[-1], BandSettings())
    if len(path) == 2:
        band = interpolate(path[0], path[1], count, ATOMS)
    else:
        band = resample(path, count, ATOMS)
    ends = StationaryPoint(band[0], energies[0]), StationaryPoint(band[-1], energies[1])
    return solve(BarrierSearch(*ends, band, ATOMS, MATCHER, FINE).run(), evaluate)


def connect(connection: Connection, eager: bool = True) -> list[Gap]:
    """Search until all is connected or nothing is left to try; return the gaps in the order of their searches.

    A search is made when it is begun (``eager``), or only when its result is taken up.
    """
    gaps: list[Gap] = []
    running: list[tuple[Gap, Callable[[], Barrier]]] = []
    while True:
        for gap in connection.next_gaps():
            energies = connection.network.minima[gap[0]].energy, connection.network.minima[gap[1]].energy
            later = cache(partial(search, energies, connection.begin(gap)))
            if eager:
                later()
            running.append((gap, later))
            gaps.append(gap)
        if not running:
            return gaps
        gap, later = running.pop(0)
        connection.learn(gap, later())
