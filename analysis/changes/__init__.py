"""What changed between two runs, and which culprit's share changed most."""

from typing import Final

DEFAULT_PERCENTILE: Final = 95.0
