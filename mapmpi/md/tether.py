"""The tether as LAMMPS commands: a spring between a point that moves at will and a group of atoms."""

from __future__ import annotations

from collections.abc import Callable


def define_tether(tagged: list[int], mass: float, command: Callable[[str], None]) -> None:
    """Define the spring on the atoms ``tagged`` (ids from 1), at rest until its end is put somewhere.

    The force k·(agent - center of mass) is shared by the tagged atoms, of a ``mass`` (amu) together, by their masses:
    so it is the gradient of k/2·|agent - center of mass|², and turns nothing. ``xcm`` is the unwrapped
    center of mass, so the spring reaches across periodic boundaries. All values are internal variables that
    can be set between two runs without LAMMPS being set up again. ``fix addforce`` adds forces alone: the
    potential energy stays that of the material. Its energy is there for minimizations, which refuse a force without.
    """
    command("group tagged id " + " ".join(str(number) for number in tagged))
    command("variable spring internal 0.0")
    for axis in "xyz":
        command(f"variable agent_{axis} internal 0.0")
        command(f'variable tagged_{axis} equal "xcm(tagged,{axis})"')
        command(f'variable tether_{axis} atom "v_spring*(v_agent_{axis}-v_tagged_{axis})*(mass/{mass!r})"')
    squares = " + ".join(f"(v_agent_{axis}-v_tagged_{axis})^2" for axis in "xyz")
    command(f'variable tether_energy atom "0.5*v_spring*({squares})*(mass/{mass!r})"')
    command("fix tether tagged addforce v_tether_x v_tether_y v_tether_z energy v_tether_energy")
