"""``python -m pinn_torch.cli`` is `pinn-torch`."""

import sys

from pinn_torch.cli import main

sys.exit(main())
