"""The command `pinn`, and backends chosen by name.

Modules: ``registry`` (which backends there are), ``backend`` (what a backend is), ``dispatch`` (train and
reconstruct with the backend that a config or an archive names), ``solving`` (the physics solver),
``reconstruction`` (reconstructions as files), ``comparison`` (a reconstruction against the truth, or against
its other half), ``side_by_side`` (several), ``kinds`` (what is in a file), ``figures``, ``cli``, ``errors``.

Importing this package, or any module of it but those that draw, loads no framework and no plotting library.
"""

__version__ = "0.1.0"
