"""The section of phase 2, and the parts of it that go down whole to the algorithms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mapmpi.config.section import Count, Positive, Seconds, Section


class QuenchSettings(Section):
    """When a quench is at rest, and when it gives up."""

    force: Positive = Field(0.01, description="eV/Å: largest force on an atom of a quenched structure")
    calls: Count = Field(400, description="force calls after which a quench gives up")


class BandSettings(Section):
    """The first band between two minima, and how far it is relaxed before a saddle search goes on from its top."""

    first: Literal["path", "idpp"] = Field(
        "path", description="path: the trajectory's frames and their ways down to the minima; or interpolation"
    )
    spacing: Positive = Field(0.6, description="Å (over all coordinates) between images of a first band")
    images: int = Field(15, ge=5, le=1000, description="most images of a band, with its ends")
    focus_width: Positive = Field(1.0, description="Å before and behind the highest image that are relaxed")
    focus_images: int = Field(5, ge=3, le=99, description="images of that part, an odd number")
    forces: list[Positive] = Field(
        [0.8, 0.4, 0.2],
        min_length=1,
        description="eV/Å on the highest image, down to which the band is relaxed before the first, second … search",
    )
    iterations: Count = Field(15, description="most moves of the band before each search")


class SaddleSettings(Section):
    """When a saddle search has arrived, and when it gives up."""

    force: Positive = Field(0.02, description="eV/Å: largest force on an atom of a transition state")
    calls: Count = Field(250, description="force calls after which a saddle search gives up")


class ConnectSettings(Section):
    """How many searches it may take to connect the ends of a pathway over saddles, and how many run side by side."""

    searches: Count = Field(
        10, description="for each segment that a path is first cut into, and as many for two more"
    )
    at_once: Count = Field(
        8, description="of a pathway that run side by side; more for hundreds of ranks, results depend on it"
    )


class Pneb(Section):
    """Phase 2: from stored pathways to barriers and a time (python -m mapmpi.pneb)."""

    top: Count = Field(1, description="how many of the best episodes are refined")
    straight: bool = Field(
        False, description="refine the straight drag of the training, too, and compare the best pathway with it"
    )
    segmentation: Literal["basins", "profile"] = Field(
        "basins",
        description="basins: frames are quenched and the path cut where the basin changes; profile (the paper's): cut "
        "at the minima of the energy profile between its peaks",
    )
    stride: Count = Field(
        1,
        description="every how many frames are quenched to find the basins, before those between two of different "
        "ones; with 8 all quenches take about half the force calls, but wait for one another: for few ranks",
    )
    prominence: Positive = Field(0.1, description="eV by which a peak of the profile stands out")
    quench: QuenchSettings = QuenchSettings()
    band: BandSettings = BandSettings()
    saddle: SaddleSettings = SaddleSettings()
    connect: ConnectSettings = ConnectSettings()
    same_distance: Positive = Field(0.3, description="Å: atoms of two quenches of one basin are no farther apart")
    same_energy: Positive = Field(
        0.02, description="eV: nor are their energies; without a verified saddle a barrier below this is none"
    )
    remote_distance: Positive = Field(6.0, description="Å from the molecule beyond which a jump is called remote")
    prefactor: Literal["hbar", "h", "vineyard"] = Field(
        "hbar",
        description="of the rates: k_BT/ℏ (the paper's Eq. 3), k_BT/h (Eyring), or from harmonic frequencies",
    )
    temperatures: list[Positive] = Field(
        [623.15], min_length=1, description="K at which times are computed; the first ranks the pathways"
    )
    moving_distance: Positive = Field(
        0.1, description="vineyard: Å that an atom moves to have its frequencies taken"
    )
    hessian_step: Positive = Field(0.01, description="vineyard: Å of the finite differences")
    symmetry: bool = Field(
        True, description="count hops in all copies by the symmetry of the host, for D of a walker in a crystal"
    )
    ranks_per_image: Count = Field(1, description="ranks that compute one configuration together")
    wall_time: Seconds | Literal["job"] | None = Field(
        None,
        description="after which it stops in order and can be started again; job: train.stop.job_margin before Slurm "
        "or PBS ends the batch job",
    )
