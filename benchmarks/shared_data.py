"""The scans that lie beside the checkout: the project does not hold them, and their rows need them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["bench_scan", "siemens_star"]

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def siemens_star() -> Path | None:
    """The measured Siemens star, or None where it is not there."""
    path = _SHARED / "data" / "siemens_star" / "siemens_star_128.npz"
    return path if path.exists() else None


def bench_scan(folder: Path) -> Path | None:
    """The simulated scan of 1024 patterns, written into the folder by its script, or None without that."""
    script = _SHARED / "bench" / "make_bench_data.py"
    if not script.exists():
        return None
    subprocess.run([sys.executable, str(script), str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder / "bench_test.npz"
