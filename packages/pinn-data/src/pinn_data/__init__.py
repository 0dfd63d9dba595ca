"""What was measured: scans, their files, their geometry, and the NumPy reference optics of ptychography.

Import the module of the concept: ``pinn_data.files.npz`` (scans in NPZ files), ``product`` (ptychodus product
files), ``scan`` (positions), ``diffraction`` (counts, intensity, amplitude), ``grouping``, ``pattern_stack``
(batches), ``patches``, ``stitching``, ``probe``, ``forward_model``, ``simulate``, ``metrics``, ``outputs``
(pictures and arrays of a result), ``testing`` (Hypothesis strategies), ``errors``.

No deep-learning framework is imported anywhere in this package.
"""

__version__ = "0.1.0"
