"""``python -m pinn_dispatch.cli`` is `pinn`."""

import sys

from pinn_dispatch.cli import main

sys.exit(main())
