"""Archives of arrays: all comes back, and what a header declares is not believed."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from mapmpi.store.arrays import read_archive, write_archive


def archive(packing: int = zipfile.ZIP_STORED, **members: bytes) -> io.BytesIO:
    """Return a zip file with these members, ``.npy`` behind their names."""
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w", packing) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return image


def npy(descr: str, shape: tuple[float, ...], content: bytes = b"") -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00\x76\x00" + header + content


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array(7),
        np.zeros((0, 3), "f4"),
        np.array([True, False]),
        np.array("a text – Å"),
    ],
    ids=["matrix", "fortran", "scalar", "empty", "flags", "text"],
)
def test_arrays_and_texts_come_back(array: np.ndarray) -> None:
    image = io.BytesIO()
    write_archive(image, {"a": array, "b": np.ones(2)}, {"notes.json": "{}"})
    arrays, texts = read_archive(image)
    assert texts == {"notes.json": "{}"}
    assert arrays["a"].dtype == array.dtype
    assert np.array_equal(arrays["a"], array)
    assert arrays["b"].flags.writeable


def test_numpy_reads_what_is_written() -> None:
    image = io.BytesIO()
    write_archive(image, {"a": np.eye(3)}, {})
    image.seek(0)
    assert np.array_equal(np.load(image)["a"], np.eye(3))


def test_objects_are_not_written() -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_archive(io.BytesIO(), {"a": np.array([{}])}, {})


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (npy("<f8", (10**12,)), "does not fit"),
        (npy("<f8", (10**6, 10**6), bytes(80)), "does not fit"),
        (npy("<f8", (-1,), bytes(8)), "does not fit"),
        (npy("<f8", (1,), bytes(80)), "does not fit"),
        (npy("|O", (1,), b"cos\nsystem\n(S'ls'\ntR."), "is of type object"),
        (npy("<f8", (1.5,), bytes(8)), "shape"),
        (b"\x93NUMPY\x03\x00" + bytes(200), "version"),
        (b"nonsense", "magic"),
        (b"", "EOF"),
    ],
)
def test_headers_that_cannot_be_true(member: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_archive(archive(a=member))


def test_bombs_are_refused_unopened() -> None:
    bomb = npy("|u1", (10**8,), bytes(10**8))
    with pytest.raises(ValueError, match="compressed"):
        read_archive(archive(zipfile.ZIP_DEFLATED, a=bomb))


@pytest.mark.parametrize("place", [0, 60, 200, -30, -5])
def test_flipped_bytes_are_noticed(place: int) -> None:
    image = io.BytesIO()
    write_archive(image, {"a": np.arange(20.0)}, {})
    data = bytearray(image.getvalue())
    data[place] ^= 0xFF
    with pytest.raises(ValueError):
        read_archive(io.BytesIO(data))
