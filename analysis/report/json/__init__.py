"""The report as JSON, with its schema.

FORMAT is the number of all of it: report, diff and logs. A new optional key does not raise it; any other change does.
"""

from typing import Final

FORMAT: Final = 4
