"""What can be wrong with a file: bytes, lengths, declared sizes, values, and traps that somebody set."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from random import Random

import h5py
import numpy as np

from mapmpi.store.journal import _HEAD, _MARK

NUMBERS = [
    "0", "-1", "1", "-0.0", "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "1e400", "2147483648", "-2147483649",
    "9223372036854775808", "1000000000000", "9" * 23, "0x7fffffff", "1e12", "1.5", "true", "no", "2026-01-01", "null",
    "~", "[]", "{}", '""', "''", "*", "%", "1_000", "0o17", "1:30:00", "²", "١",
]  # fmt: skip

TRAPS = [
    "\0", "\ufeff", "\udcff", "é", "\t", "\r", "'", '"', "#", ",", ":", "- ", "\n\n", "&a [*a, *a]", "*a", "<<: *a",
    "? [a]\n: b", "!!python/object:os.system", "!!binary aGFsbG8=", "!!timestamp 2026-99-99", "!!set {a, b}",
    "!!int x", "2026-01-01", "2026-13-45", "9" * 5000, "0x" + "f" * 6000, "[" * 3000, "{a: " * 2000, '"\\ud800"',
    "a: " * 500, "/etc/passwd", "../../x", "x" * 5000, "%s%n", "$(shell)", "1:1:1:1:1:1:1:1:1",
    "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c]\n"
    "e: &e [*d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e]\n",
    "a: &a {x: 1, y: 2}\nb: &b {<<: [*a, *a, *a, *a, *a, *a, *a, *a]}\nc: &c {<<: [*b, *b, *b, *b, *b, *b, *b]}\n",
]  # fmt: skip


def mutated(name: str, data: bytes, random: Random) -> bytes:
    """Return the file with something wrong."""
    kinds: list[Callable[[bytes, Random], bytes]] = [_bytes, _truncated, _sizes, _pieces]
    if name.endswith(".h5"):
        kinds += [_hdf5] * 4
    elif name.endswith(".npz"):
        kinds += [_archive] * 4
    elif name == "journal":
        kinds += [_entry] * 4
    else:
        kinds += [_values, _values, _lines, _trap]
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        data = random.choice(kinds)(data, random)
    return data


def _bytes(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice([1, 2, 8, 64])):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _sizes(data: bytes, random: Random) -> bytes:
    """Put extreme whole numbers over some bytes."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 2, 4])):
        width = random.choice([1, 2, 4, 8])
        place = random.randrange(max(len(changed) - width, 1)) // width * width
        number = random.choice(
            [0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), random.randrange(2 ** (8 * width))]
        )
        changed[place : place + width] = number.to_bytes(width, "little")
    return bytes(changed)


def _pieces(data: bytes, random: Random) -> bytes:
    """Leave a piece out, or have it twice."""
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    last = min(last, first + random.choice([1, 16, 1000]))
    return data[:first] + data[last:] if random.random() < 0.5 else data[:last] + data[first:]


def _values(data: bytes, random: Random) -> bytes:
    """Replace numbers or words of a text."""
    text = data.decode("utf-8", "surrogateescape")
    for _ in range(random.choice([1, 1, 2, 5])):
        words = list(re.finditer(random.choice([r"-?\d[\d.e+-]*", r"-?\d[\d.e+-]*", r"[\w.]+"]), text))
        if words:
            word = random.choice(words)
            text = text[: word.start()] + random.choice(NUMBERS) + text[word.end() :]
    return text.encode("utf-8", "surrogateescape")


def _lines(data: bytes, random: Random) -> bytes:
    """Repeat, drop, join or mix lines."""
    lines = data.split(b"\n")
    place, other = random.randrange(len(lines)), random.randrange(len(lines))
    change = random.randrange(5)
    if change == 0:
        lines[place:place] = [lines[place]] * random.choice([1, 10, 1000])
    elif change == 1:
        del lines[place]
    elif change == 2:
        lines[place] += lines[other]
    elif change == 3:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place] = lines[place] * random.choice([2, 50])
    return b"\n".join(lines)


def _trap(data: bytes, random: Random) -> bytes:
    """Put something in, where a line or a word begins."""
    places = [
        match.end() for match in re.finditer(rb"\n" if random.random() < 0.4 else rb"[\s:\[{,-]+", data)
    ] or [0]
    place = random.choice(places)
    return data[:place] + random.choice(TRAPS).encode("utf-8", "surrogatepass") + data[place:]


def _hdf5(data: bytes, random: Random) -> bytes:
    """Change a file through HDF5 itself, so that all checksums are right."""
    image = io.BytesIO(data)
    try:
        with h5py.File(image, "r+", libver=("v110", "v110")) as file:
            names: list[str] = []
            file.visit(names.append)
            random.choice([_hdf5_values, _hdf5_values, _hdf5_shape, _hdf5_link, _hdf5_attribute])(
                file, random.choice(names), random
            )
    except Exception:  # damaged already
        return data
    return image.getvalue()


def _hdf5_values(file: h5py.File, name: str, random: Random) -> None:
    names: list[str] = []
    file.visititems(lambda path, item: names.append(path) if isinstance(item, h5py.Dataset) else None)
    dataset = file[random.choice(names)]
    values = dataset[()]
    flat = np.atleast_1d(values).reshape(-1)
    if not len(flat):
        return
    target = flat[random.choice(flat.dtype.names)] if flat.dtype.names else flat
    place = random.randrange(len(flat))
    with np.errstate(all="ignore"):
        if target.dtype.kind == "S":
            target[place] = bytes(random.randrange(256) for _ in range(8))
        elif target.dtype.kind == "f":
            target[place] = random.choice([np.nan, np.inf, -1.0, 1e30, 0.0])
        else:
            target[place] = np.array(random.choice([0, -1, 1, 2**31 - 1, 2**62])).astype(target.dtype)
    dataset[()] = flat.reshape(np.shape(values)) if np.shape(values) else flat[0]


def _hdf5_shape(file: h5py.File, name: str, random: Random) -> None:
    """Another shape or type in place of a data set; huge ones have no data behind them."""
    shape = random.choice([(), (0,), (5,), (25, 5, 3), (10**9,), (10**12,), (10**5, 10**5), (25, 10**8), (3, 3)])
    if isinstance(file[name], h5py.Dataset) and file[name].maxshape[:1] == (None,) and random.random() < 0.5:
        file[name].resize(random.choice([0, 1, 25, 1000, 10**6, 10**10]), axis=0)
        return
    kind = random.choice(["f4", "f8", "i8", "u1", "S5", "f16", "c16", "?", h5py.string_dtype()])
    unit = dict(file[name].attrs) if random.random() < 0.5 else {}
    del file[name]
    packed = {"compression": "gzip"} if shape and 0 not in shape and random.random() < 0.3 else {}
    packed |= {"fletcher32": True} if packed and random.random() < 0.2 else {}
    file.create_dataset(name, shape=shape, dtype=kind, **packed)
    file[name].attrs.update(unit)


def _hdf5_link(file: h5py.File, name: str, random: Random) -> None:
    parent, _, _ = name.rpartition("/")
    kind = random.randrange(6)
    if kind != 5:
        del file[name]
    if kind == 0:
        file[name] = h5py.SoftLink(random.choice(["/", f"/{parent}", f"/{name}", "/nowhere"]))
    elif kind == 1:
        file[name] = h5py.ExternalLink("/etc/passwd", "/")
    elif kind == 2:
        file[name] = file[parent or "/"]
    elif kind == 3:
        file.create_dataset(name, (100,), "f8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    elif kind == 4:
        source = h5py.VirtualSource("/etc/passwd", "x", (100,))
        plan = h5py.VirtualLayout((100,), "f8")
        plan[:] = source
        file.create_virtual_dataset(name, plan)
    else:
        for number in range(40):
            file[f"{parent or '/'}/again-{number}"] = file[parent or "/"]


def _hdf5_attribute(file: h5py.File, name: str, random: Random) -> None:
    owner = random.choice([file, file[name], file[name].parent])
    names = list(owner.attrs) or ["agent"]
    value = random.choice(
        [-1, 2**62, np.nan, "text", "../../../tmp/x", b"\xff\xfe", "[" * 5000, np.arange(5), np.zeros((0,)),
         h5py.Empty("f8"), np.array(["a", "b"], dtype=object), True, 1e308, '{"a": ' * 2000]
    )  # fmt: skip
    chosen = random.choice(names)
    if random.random() < 0.2:
        owner.attrs.pop(chosen, None)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        owner.attrs.create(chosen, value, dtype=h5py.string_dtype())
    else:
        owner.attrs[chosen] = value


def _archive(data: bytes, random: Random) -> bytes:
    """Change a member of a NumPy archive, with the right checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged already
        return data
    name = random.choice(list(members) or ["x.npy"])
    how = random.randrange(5)
    if how == 0:
        members.pop(name, None)
    elif how == 1:
        shape = random.choice([(10**12,), (10**6, 10**6), (-1,), (0,), (2**40, 0), (1.5,)])
        kind = random.choice(["<f8", "|O", "|V0", "<U1000000", "|S0", "<M8[s]"])
        header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
        members[name] = b"\x93NUMPY\x01\x00\x76\x00" + header + members.get(name, b"")[128:]
    elif how == 2:
        members[name] = random.choice(TRAPS).encode("utf-8", "surrogatepass")
    elif how == 3:
        members["metadata.json"] = random.choice(
            ["[" * 100_000, "[]", "1e999", "9" * 6000, '{"a":' * 9000]
        ).encode()
    else:
        members[name] = _bytes(members.get(name, b""), random)
    image = io.BytesIO()
    packed = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(image, "w", packed) as archive:
        for member, content in members.items():
            archive.writestr(member, content + (bytes(50_000_000) if how == 4 and packed and content else b""))
    return image.getvalue()


def _entry(data: bytes, random: Random) -> bytes:
    """Change the archive of a journal's first entry, with the right checksum; or what it says it is."""
    if len(data) < _HEAD.size:
        return data
    _, size, _, key = _HEAD.unpack(data[: _HEAD.size])
    inside, rest = data[_HEAD.size : _HEAD.size + size], data[_HEAD.size + size :]
    if random.random() < 0.5:
        inside = _archive(inside, random)
    else:
        tree = random.choice(
            [{"type": "os.system", "fields": {}}, {"array": 1}, {"type": [], "fields": 3}, {"tuple": 5},
             {"array": "no"}, {"type": "Leaf", "fields": {"x": 1}}, [1], None]
        )  # fmt: skip
        image = io.BytesIO()
        np.savez(image, tree=np.array(json.dumps(tree) if tree else "{" * 10_000))
        inside = image.getvalue()
    size = random.choice([len(inside), len(inside), 2**63, 0])
    return _HEAD.pack(_MARK, size, zlib.crc32(inside), key) + inside + rest
