"""Where what ptychodus has enters and leaves: its product and patterns as a scan, and an image as its
product.

Metres and ptychodus' pixel origin are left behind here, by
:meth:`pinn_data.files.product.Product.positions_px`, and come back here. Source: ptychodus 1.7.0,
``api/io.py`` and ``api/object.py``.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import ArrayLike

from pinn_data.files.product import Product
from pinn_data.run.results import Reconstruction
from pinn_data.scan.diffraction import check_stack_shape, detect_unit
from pinn_data.scan.geometry import Geometry
from pinn_data.scan.measured_pixels import as_bad_pixels, check_fit
from pinn_data.scan.positions import to_ptychodus
from pinn_data.scan.scan import Scan
from pinn_data.scan.unmeasured import measured_part

__all__ = ["product_of_reconstruction", "scan_of_product"]


def scan_of_product(
    product: Product,
    patterns: ArrayLike,
    *,
    unit: str | None = None,
    bad_pixels: ArrayLike | None = None,
    background: ArrayLike | None = None,
) -> Scan:
    """The scan of a product and the patterns that were measured at its positions, in their order.

    patterns : (n, N, N) real; whole numbers are counts, unless `unit` says otherwise; markers in them
        (:mod:`pinn_data.scan.unmeasured`) are bad pixels, besides those of `bad_pixels`
    bad_pixels, background : as of :class:`pinn_data.scan.scan.Scan`

    Positions count from pixel (0, 0) of the product's object, whose first layer is the scan's object; the
    probe is that of the first position where they differ (OPR).

    Raises ShapeError, DataRangeError, UnitError and their kin (ValueErrors) where the parts do not fit
    together.
    """
    known = as_bad_pixels(bad_pixels)
    stack = np.asarray(patterns)
    check_stack_shape(stack.shape)
    check_fit(known, None, stack.shape)
    found = measured_part(stack, known, drop_empty=False, owned=False)
    modes = product.probe[0]
    return Scan(
        diffraction=found.stack,
        unit=detect_unit(found.stack, unit, modes),
        positions=product.positions_px(),
        probe=modes[0] if len(modes) == 1 else modes,
        object=product.object[0],
        metadata=Geometry(
            product.object_pixel_m, product.photon_energy_eV, product.detector_distance_m
        ).metadata(),
        bad_pixels=found.bad_pixels,
        background=background,
    )


def product_of_reconstruction(found: Reconstruction, product: Product) -> Product:
    """The image of a scan of `scan_of_product` as a product that lies where `product` lies.

    Law: a pixel of the image and the pixel of ``product.object`` that it stands for are the same metres.
    """
    pixel, center = np.asarray(product.object_pixel_m), np.asarray(product.object_center_m)
    middle = (np.array(product.object.shape[-2:]) - 1) / 2
    image_middle = found.canvas.origin + (np.array(found.object.shape) - 1) / 2
    return attrs.evolve(
        product,
        positions_m=center + (to_ptychodus(found.positions) - middle) * pixel,
        position_indexes=product.position_indexes,
        probe=found.probe,
        object=found.object,
        object_center_m=center + (image_middle - middle) * pixel,
        layer_spacing_m=np.zeros(0),
        opr_weights=None,
        probe_photon_count=float(np.sum(np.abs(found.probe.astype(np.complex128)) ** 2)),
    )
