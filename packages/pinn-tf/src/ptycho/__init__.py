"""The historical names of the TensorFlow backend, for programs that import them.

Each module here holds re-exports only; what they name lives in `pinn_tf`, `pinn_config` and `pinn_data`.
Importing this package loads no framework.
"""
