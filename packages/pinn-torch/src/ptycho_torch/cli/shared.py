"""What both commands do with their arguments; see `pinn_torch.cli.shared`."""

from pinn_torch.cli.shared import build_execution_config_from_args, resolve_accelerator, validate_paths

__all__ = ["build_execution_config_from_args", "resolve_accelerator", "validate_paths"]
