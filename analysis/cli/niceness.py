"""What runs beside a service lets the service go first."""

import os
from typing import Final

_NICER: Final = 10


def yield_to_others() -> None:
    """Asks the kernel to prefer every ordinary process to this one, where it can be asked."""
    try:
        os.nice(_NICER)
    except (AttributeError, OSError):
        return
