"""The format number of all JSON output: report, diff and logs. A new optional key does not raise it; any other change does."""

from typing import Final

FORMAT: Final = 4
