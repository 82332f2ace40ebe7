"""What we know of the host's objects, kept by the object itself: it may have no hash, or an equality of its own."""

from typing import Any, Generic, TypeVar
from weakref import ref

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """A value for each object for as long as that lives; raises TypeError for one without weak references."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[Any], V]] = {}

    def get(self, owner: Any) -> V | None:
        """The value set for this very object."""
        found = self._known.get(id(owner))
        return found[1] if found is not None and found[0]() is owner else None

    def set(self, owner: Any, value: V) -> None:
        """Keeps the value until the object ends."""
        key, known = id(owner), self._known

        def forget(gone: ref[Any]) -> None:
            found = known.get(key)
            if found is not None and found[0] is gone:
                del known[key]

        known[key] = (ref(owner, forget), value)

    def values(self) -> list[V]:
        """The values of all that live."""
        return [value for _, value in self._known.copy().values()]

    def __len__(self) -> int:
        return len(self._known)
