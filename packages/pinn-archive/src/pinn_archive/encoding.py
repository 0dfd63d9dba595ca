"""The three encodings inside an archive: strict JSON, plain arrays (`.npz`) and weights (`.safetensors`).

Each pair is inverse: ``decode(encode(x)) == x``, and the same content is always the same bytes. No decoder
can run code, and none allocates more than a small multiple of the bytes it was given.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from tokenize import TokenError
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from pinn_archive.errors import ArchiveError
from pinn_archive.frame import read_entry, read_frame, write_frame
from pinn_archive.layout import MAX_JSON_BYTES, check_label

__all__ = [
    "decode_arrays",
    "decode_json",
    "decode_weights",
    "encode_arrays",
    "encode_json",
    "encode_weights",
    "plain",
]

_ARRAY_DTYPES = frozenset(
    np.dtype(name).newbyteorder("<").str
    for name in (
        [
            "bool",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "float32",
            "float64",
            "complex64",
            "complex128",
        ]
    )
)
_WEIGHT_DTYPES = {
    "BOOL": np.dtype("?"),
    "I8": np.dtype("i1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "U64": np.dtype("<u8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_MAX_DEPTH = 64
_MAX_HEADER = 4096


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """`value` as what JSON holds: None, bool, int, finite float, str, list, dict with text keys.

    NumPy scalars become Python numbers, tuples become lists. `where` names the value in messages.

    Raises
    ------
    ArchiveError
        Anything else: naming the place, what was there and what to give.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ArchiveError(f"{where} is the integer {value}: give one that fits 64 bits.")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ArchiveError(f"{where} is {value}: JSON has no such number; give a finite one or None.")
        return value
    if depth >= _MAX_DEPTH:
        raise ArchiveError(f"{where} is nested more than {_MAX_DEPTH} deep: flatten it.")
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArchiveError(f"{where} has the key {key!r}: JSON keys are text; use {str(key)!r}.")
        return {key: plain(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()}
    raise ArchiveError(
        f"{where} is a {type(value).__name__}, which an archive does not hold: give text, numbers, None, "
        "lists or dicts "
        "(arrays go into `arrays`, paths as text)."
    )


def encode_json(value: Any, where: str) -> bytes:
    """`value` as the one canonical JSON text: sorted keys, ASCII, indent 1, newline at the end."""
    data = _canonical(plain(value, where))
    if len(data) > MAX_JSON_BYTES:
        raise ArchiveError(
            f"{where} takes {len(data)} bytes as JSON: at most {MAX_JSON_BYTES}; move arrays to `arrays`."
        )
    return data


def decode_json(data: bytes, where: str) -> Any:
    """The value of a canonical JSON text.

    Raises
    ------
    ArchiveError
        No JSON; a key twice; NaN or Infinity; or any other text than the canonical one for this value.
    """
    try:
        value = json.loads(data.decode("ascii"), parse_constant=_no_constant)
        canonical = _canonical(value)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(
            f"{where} is not the strict JSON that an archive holds ({error}): copy it again."
        ) from error
    if canonical != data:
        raise ArchiveError(
            f"{where} is JSON, but not in the canonical form (FORMAT.md, section 3): it was edited by hand."
        )
    return value


def encode_arrays(arrays: Mapping[str, np.ndarray], where: str) -> bytes:
    """`arrays` as an `.npz` file that `numpy.load(allow_pickle=False)` opens.

    Stored little-endian and in C order. Allowed are bool, (u)int8..64, float16..64, complex64 and complex128.
    """
    contents = {}
    for name, array in arrays.items():
        array = _little_endian(array, f"{where}[{name!r}]")
        if array.dtype.str not in _ARRAY_DTYPES:
            raise ArchiveError(
                f"{where}[{name!r}] has dtype {array.dtype}: an archive holds booleans, "
                "integers up to 64 bits, "
                "float16 to float64, complex64 and complex128; convert it."
            )
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
        contents[f"{check_label(name, 'array name')}.npy"] = buffer.getvalue()
    pieces: list[bytes] = []
    write_frame(contents, pieces.append)
    return b"".join(pieces)


def decode_arrays(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays of `encode_arrays`; each declared shape is held against the bytes that are there, before
    allocating."""
    source = io.BytesIO(data)
    arrays = {}
    for name, entry in read_frame(source, len(data), where).items():
        if not name.endswith(".npy") or "/" in name:
            raise ArchiveError(f"{where} holds {name!r}: only arrays named '<name>.npy' are allowed.")
        arrays[name.removesuffix(".npy")] = _decode_npy(
            read_entry(source, entry, where), f"{name!r} in {where}"
        )
    return arrays


def encode_weights(weights: Mapping[str, np.ndarray], where: str) -> bytes:
    """`weights` as a `.safetensors` file without metadata; real numbers only, little-endian."""
    tensors = {}
    for name, array in weights.items():
        if not isinstance(name, str) or not name or name == "__metadata__":
            raise ArchiveError(f"{where} has a weight named {name!r}: give it a non-empty text name.")
        array = _little_endian(array, f"{where}[{name!r}]")
        if array.dtype not in _WEIGHT_DTYPES.values():
            raise ArchiveError(
                f"{where}[{name!r}] has dtype {array.dtype}: weights are booleans, "
                "integers up to 64 bits or float16 to "
                "float64; convert it (a complex weight as two real ones)."
            )
        tensors[name] = array
    try:
        return safetensors.numpy.save(tensors)
    except safetensors.SafetensorError as error:
        raise ArchiveError(f"{where} cannot be written as safetensors: {error}.") from error


def decode_weights(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The weights of `encode_weights`, by name in ascending order."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ArchiveError(
            f"{where} is no readable safetensors file ({error}): copy the archive again."
        ) from error
    weights = {}
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        dtype = _WEIGHT_DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise ArchiveError(
                f"weight {name!r} of {where} has dtype {tensor['dtype']}: an archive holds "
                f"{', '.join(_WEIGHT_DTYPES)}."
            )
        try:
            # A bytearray, because frameworks expect arrays that may be written.
            numbers = tensor["data"] if isinstance(tensor["data"], bytearray) else bytearray(tensor["data"])
            weights[name] = np.frombuffer(numbers, dtype).reshape(tensor["shape"])
        except ValueError as error:
            raise ArchiveError(
                f"weight {name!r} of {where} has an impossible shape: {tensor['shape']}."
            ) from error
    return weights


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1)
    return text.encode("ascii") + b"\n"


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _little_endian(array: Any, where: str) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise ArchiveError(f"{where} is a {type(array).__name__}: give a numpy array.")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _decode_npy(data: bytes, where: str) -> np.ndarray:
    source = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(source) != (1, 0):
            raise ValueError("its version is not 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(source, max_header_size=_MAX_HEADER)
        if dtype.str not in _ARRAY_DTYPES or fortran:
            raise ValueError(f"dtype {dtype}, fortran_order {fortran}")
        count = math.prod(shape)
        if count * dtype.itemsize != len(data) - source.tell():
            raise ValueError(f"shape {shape} and {len(data) - source.tell()} bytes of numbers")
        return np.frombuffer(bytearray(data[source.tell() :]), dtype).reshape(shape)
    except (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
        # numpy parses the header as a Python literal, so a hostile header fails in any of these ways
        raise ArchiveError(
            f"{where} is not an array that an archive holds ({error}): copy the archive again."
        ) from error
