"""Names as labels: a bounded number, each short and printable. The first names get labels."""

from typing import Final

OTHERS: Final = "(other)"  # the label of all names beyond the limit
MOST_ENDPOINTS: Final = 100
_LONGEST: Final = 200


class Labels:
    """Maps names to labels. A name keeps its label: a counter must not jump between labels."""

    def __init__(self, most: int = MOST_ENDPOINTS) -> None:
        self._most = most
        self._labels: dict[str, str] = {}
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """Return the label of a name; OTHERS once the limit is reached."""
        found = self._labels.get(name)
        if found is not None:
            return found
        label = printable(name)
        if label not in self._known and len(self._known) >= self._most:
            return OTHERS  # not stored: the number of names is unbounded
        self._known.add(label)
        if len(self._labels) < 10 * self._most:
            self._labels[name] = label
        return label


def printable(name: str) -> str:
    """Return the name without unprintable characters, cut to a label's length."""
    return "".join(one if one.isprintable() else "�" for one in name[:_LONGEST])
