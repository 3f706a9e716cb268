"""``mapmpi export RUN_DIR``: an episode or a pathway as a file that other programs open."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mapmpi.errors import UserError, exit_code
from mapmpi.export.film import best_pathway, chosen_frame, episode_film, pathway_film
from mapmpi.export.forces import with_forces
from mapmpi.export.formats import FILMS, H5MD, SINGLE, write_film_h5md
from mapmpi.export.values import with_values
from mapmpi.parser import Parser
from mapmpi.report.answer import printable
from mapmpi.report.gather import read_config
from mapmpi.report.stored import read_settings
from mapmpi.store.rundir import RunDirectory

EXAMPLES = """examples:
  mapmpi export runs/silica-small-001 --episode 2:9 --output path.lammpstrj
  mapmpi export runs/silica-small-001 --frame saddle:3 --output saddle.cif
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = Parser(
        prog="mapmpi export",
        usage="mapmpi export RUN_DIR --output FILE [options]",
        description="Write a refined pathway (the best, unless named) or the whole path of an episode\nas a film "
        f"({', '.join([*FILMS, *H5MD])}) or one frame of it\n({', '.join(SINGLE)}, too).",
        epilog=EXAMPLES,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=30),
    )
    add = parser.add_argument
    add("run_dir", type=Path, metavar="RUN_DIR", help="folder of a training or of phase 2")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--episode", metavar="AGENT:EPISODE", help="its whole path from the start")
    what.add_argument("--pathway", metavar="NAME", help="a pathway of RUN_DIR/pathways")
    add("--frame", metavar="N", help="only this frame, from 0, or saddle:N, basin:N")
    add("--forces", action="store_true", help="computed anew, by the run's force field")
    add("--values", action="store_true", help="the learned energy map, and Q, at each frame")
    add("--output", type=Path, required=True, metavar="FILE", help="its ending says the format")
    add("--force", action="store_true", help="overwrite an existing file")
    add("--allow-commands", action="store_true", help="let its force field do anything")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the file; return the exit code."""
    args = make_parser().parse_args(argv)
    return exit_code(lambda: _export(args), "choose another --output")


def _export(args: argparse.Namespace) -> None:
    """Write what the command line asks for and say so. Raises UserError, OSError."""
    directory, output = RunDirectory.open(args.run_dir), args.output
    config, ending = read_config(directory)[0], output.suffix.lower()
    known = [*FILMS, *H5MD, *SINGLE]
    if ending not in known:
        raise UserError(f"--output {output}: expected a name that ends with one of {', '.join(known)}.")
    if ending in SINGLE and args.frame is None:
        raise UserError(f"--output {output}: this format holds one structure; name it, for example --frame 0.")
    if ending in SINGLE and (args.forces or args.values):
        named = "--forces" if args.forces else "--values"
        raise UserError(f"{named}: a {ending} file has no place for them; choose {', '.join([*FILMS, *H5MD])}.")
    if output.exists() and not args.force:
        raise UserError(f"--output {output} is there already; give --force to overwrite it.")
    if args.episode is not None:
        film = episode_film(directory, args.episode)
    else:
        ranked = read_settings(directory, config)[1]
        film = pathway_film(directory, args.pathway or best_pathway(directory, ranked))
    if args.frame is not None:
        film = film.only(chosen_frame(film, args.frame))
    words = []
    if args.forces:
        film, forces = with_forces(film, directory, args.allow_commands)
        words.append(forces)
    if args.values:
        film, values = with_values(film, directory, config)
        words.append(values)
    if ending in H5MD:
        write_film_h5md(output, film, config.dynamics.timestep)
    else:
        {**FILMS, **SINGLE}[ending](output, film)
    print(
        f"{output}: {len(film)} frame{'s' * (len(film) > 1)} of {printable(film.name)}, {len(film.atoms)} atoms.",
        *words,
        sep="\n",
    )
