"""Checkpoints: what a training knows, in two generations, each either whole or not there.

A checkpoint is NumPy's .npz with JSON beside the arrays; nothing in it is pickled, so reading one runs no code. Rings
(the replay buffer's states) lie beside it in files that only grow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mapmpi.errors import UserError
from mapmpi.logs import log
from mapmpi.store.arrays import read_archive, write_archive
from mapmpi.store.files import replace_file
from mapmpi.store.ring import Ring, StoredRing

_METADATA = "metadata.json"
GENERATIONS = 2
"""Checkpoints that are kept: the last, and one before it should the last be damaged."""

State = Mapping[str, np.ndarray | Ring]
"""What a part of a training knows, by name."""


class Part(Protocol):
    """A part of a training that a checkpoint holds."""

    def state_dict(self) -> State:
        """Return what it knows; large arrays whose rows overwrite each other as rings."""

    def load_state_dict(self, state: Any) -> None:
        """Take over what another knew. Raises UserError if it does not fit."""


class Checkpoints:
    """The checkpoints of a training in a folder, numbered as they were made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rings: dict[str, StoredRing] = {}
        self._kept: list[tuple[Path, dict[str, int]]] = []  # the last ones, and the first row of each ring then

    def files(self) -> list[Path]:
        """Return the checkpoints that are there, the oldest first."""
        return sorted(file for file in self.folder.glob("checkpoint-*.npz") if file.stem[11:].isdigit())

    def save(self, parts: Mapping[str, Part], facts: Mapping[str, Any]) -> int:
        """Save all parts under their names, and plain ``facts``; return the bytes written. Raises OSError."""
        arrays: dict[str, np.ndarray] = {}
        written = 0
        for part_name, part in parts.items():
            for key, value in part.state_dict().items():
                name = f"{part_name}.{key}"
                if isinstance(value, Ring):
                    new = StoredRing(self.folder / name, value.shape, value.rows.dtype.str)
                    written += self._rings.setdefault(name, new).append(value)
                else:
                    arrays[name] = np.asarray(value)
        rings = {name: ring.description for name, ring in self._rings.items()}
        number = max((int(file.stem[11:]) for file in self.files()), default=0) + 1
        path = self.folder / f"checkpoint-{number:06d}.npz"
        save(path, arrays, {"facts": dict(facts), "rings": rings})
        self._keep(path)
        return written + path.stat().st_size

    def _keep(self, path: Path) -> None:
        """Remember a generation and remove what no kept one needs."""
        self._kept = [*self._kept, (path, self._first_rows())][-GENERATIONS:]
        kept = [file for file, _ in self._kept]
        for file in self.files():
            if file not in kept:
                file.unlink()
        for name, ring in self._rings.items():
            ring.remove_before(min(rows[name] for _, rows in self._kept if name in rows))

    def _first_rows(self) -> dict[str, int]:
        return {name: ring.first for name, ring in self._rings.items()}

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, to look at it; None when there is none at all.

        Raises UserError when there are some and all are damaged.
        """
        return self._newest()[0]

    def _newest(self) -> tuple[Checkpoint | None, UserError | None]:
        """Return the newest checkpoint that is whole, and what is wrong with the newest of all."""
        reason = None
        for file in reversed(self.files()):
            try:
                return self.read(file), reason
            except UserError as error:
                reason = reason or error
        if reason is not None:
            raise reason
        return None, None

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, to go on from it: newer ones are put aside.

        None and errors as for :meth:`newest`.
        """
        checkpoint, reason = self._newest()
        if checkpoint is None:
            return None
        if reason is not None:
            log.warning("%s The one before it is taken: %s.", reason, checkpoint.path.name)
            for newer in self.files():
                if newer > checkpoint.path:  # what is appended to the rings from now on is not what it says
                    newer.rename(newer.with_name(f"damaged-{newer.name}"))
        self._rings = {name: replace(ring) for name, ring in checkpoint.rings.items()}
        self._kept = [(checkpoint.path, self._first_rows())]
        return checkpoint

    def read(self, file: Path) -> Checkpoint:
        """Return one of the checkpoints. Raises UserError when it, or a ring that it needs, is not whole."""
        try:
            arrays, metadata = load(file)
            rings = {
                name: StoredRing.described(self.folder / _plain(name), ring)
                for name, ring in metadata["rings"].items()
            }
            return Checkpoint(file, arrays, rings, dict(metadata["facts"]))
        except (KeyError, TypeError, AttributeError, ValueError):
            raise UserError(f"{file} is not a checkpoint of a training; restore it from a copy.") from None


def _plain(name: str) -> str:
    """Return a name that does not lead out of its folder; ValueError for any other."""
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"{name!r} is no plain name")
    return name


class Checkpoint:
    """A checkpoint as read: ``facts`` as they were saved, and the arrays and rings of its parts."""

    def __init__(
        self, path: Path, arrays: dict[str, np.ndarray], rings: dict[str, StoredRing], facts: dict[str, Any]
    ) -> None:
        self.path, self.arrays, self.rings, self.facts = path, arrays, rings, facts

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Give each part what it knew; one that is new since then stays as it is. Raises UserError."""
        for name, part in parts.items():
            prefix = f"{name}."
            state = {
                key.removeprefix(prefix): value
                for key, value in {**self.arrays, **self.rings}.items()
                if key.startswith(prefix)
            }
            if not state:
                continue
            try:
                part.load_state_dict(state)
            except (KeyError, ValueError, TypeError, AttributeError):
                raise UserError(
                    f"{self.path}: what it says of {name} is damaged; restore it from a copy."
                ) from None


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays of any numeric dtype, and metadata that JSON can hold, in place of the last checkpoint.

    Raises ValueError for an array of Python objects and TypeError for metadata that JSON cannot hold; the
    last checkpoint is then still there.
    """

    texts = {_METADATA: json.dumps(dict(metadata))}
    # Not compressed: weights and stored states do not shrink, and the learner is waiting.
    replace_file(path, lambda handle: write_archive(handle, arrays, texts))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the metadata of a checkpoint. Raises UserError when there is none to be read."""
    try:
        with open(path, "rb") as handle:
            arrays, texts = read_archive(handle)
        return arrays, dict(json.loads(texts[_METADATA]))
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; give a run directory whose training saved one.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is not a checkpoint of mapmpi or is damaged; restore it from a copy.") from None
