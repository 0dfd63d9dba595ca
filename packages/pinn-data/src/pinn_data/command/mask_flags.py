"""``--mask`` and ``--invert-mask`` of every command that reads a scan, `pinn` and `pinn-torch` alike."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pinn_data.errors import RequestError

if TYPE_CHECKING:
    from pinn_data.scan.scan import Scan

__all__ = ["add_mask_flags", "masked"]


def add_mask_flags(group: Any, default: str | None = None) -> None:
    """Adds the two flags; `default` is their value if they are not given."""
    group.add_argument(
        "--mask",
        default=default,
        metavar="FILE[:NAME]",
        help="mask of bad pixels, added to the one in the scan: NPY, NPZ, HDF5 or TIFF (nonzero = bad), "
        "or JSON ([[row, column], ...])",
    )
    group.add_argument(
        "--invert-mask", action="store_true", default=default, help="treat nonzero pixels of the mask as good"
    )


def masked(scan: Scan, args: argparse.Namespace) -> Scan:
    """The scan without the pixels that ``--mask`` excludes.

    Raises RequestError (``--invert-mask`` alone), and what `pinn_data.files.detector_masks.masked_scan`
    raises.
    """
    if args.mask is None:
        if args.invert_mask:
            raise RequestError("--invert-mask needs a mask: give --mask FILE too")
        return scan

    from pinn_data.files.detector_masks import masked_scan
    from pinn_data.files.frame_stack import split_entry

    return masked_scan(scan, *split_entry(args.mask), invert=bool(args.invert_mask))
