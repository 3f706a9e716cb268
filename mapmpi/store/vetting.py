"""Whether what an HDF5 file declares can be true, before anything is read from it.

All metadata of a file that mapmpi writes carry checksums but one kind: the heap of variable-length strings. A flipped
byte there makes HDF5 search for ever, in C, where nothing stops it; so mapmpi reads no such strings, and the vetting
refuses them. It also refuses what leads out of the file (external and soft links, external and virtual storage),
objects that are met twice (a group inside itself), filters other than HDF5's own, and sizes that the file cannot hold.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from mapmpi.store.durable import has_sound_start

DEFLATE_RATIO = 1032
"""What zlib shrinks data to at the most, one byte of so many."""

DEEPEST = 8
"""Groups inside groups."""

MOST_BYTES = 16 << 10
"""An element of a data set, other than numbers, and an attribute's text are no longer."""


class Unsound(Exception):
    """A file declares what cannot be true; the message is half a sentence."""
