"""The number of the format of all our JSON: report, diff and logs. A new optional key does not raise it; anything else does."""

from typing import Final

FORMAT: Final = 3
