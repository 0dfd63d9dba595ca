"""Values in the types of JSON, for records, reports and archives."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["as_json"]


def as_json(value: Any, not_finite: Callable[[float], Any] = float) -> Any:
    """`value` in the types of JSON: lists for tuples and arrays, Python's numbers for NumPy's, text for paths
    and keys. What has no such type stays as it is, for the writer to refuse.

    not_finite : what stands for infinity and NaN, which JSON does not have; default: they stay
    """
    if isinstance(value, Mapping):
        return {str(key): as_json(item, not_finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item, not_finite) for item in value]
    if isinstance(value, os.PathLike):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy
        return as_json(value.tolist(), not_finite)
    if isinstance(value, float) and not math.isfinite(value):
        return not_finite(value)
    return value
