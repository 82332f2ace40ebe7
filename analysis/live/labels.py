"""Names as labels: as many as allowed and no more, each short and printable. The first ones seen have theirs."""

from typing import Final

OTHERS: Final = "(other)"  # all names beyond the limit, together
MOST_ENDPOINTS: Final = 100
_LONGEST: Final = 200


class Labels:
    """Gives each name its label. A name that has one keeps it: a counter must not jump between labels."""

    def __init__(self, most: int = MOST_ENDPOINTS) -> None:
        self._most = most
        self._labels: dict[str, str] = {}
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """Return the label of a name; OTHERS once there are as many labels as allowed."""
        found = self._labels.get(name)
        if found is not None:
            return found
        label = printable(name)
        if label not in self._known and len(self._known) >= self._most:
            return OTHERS  # not remembered: names may be endless
        self._known.add(label)
        if len(self._labels) < 10 * self._most:
            self._labels[name] = label
        return label


def printable(name: str) -> str:
    """Return the name without what no screen and no encoding takes, cut to a length for labels."""
    return "".join(one if one.isprintable() else "�" for one in name[:_LONGEST])
