"""The historical names of the PyTorch backend, for programs that import them.

Each module here holds re-exports only; what they name lives in `pinn_torch`. Importing this package loads no
framework.
"""
