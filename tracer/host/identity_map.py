"""A map from the host's objects by identity: an object may have no hash, or an equality of its own."""

from typing import Any, Generic, TypeVar
from weakref import ref

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """Maps an object to a value for as long as the object lives. Raises TypeError for one without weak references."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[Any], V]] = {}

    def get(self, owner: Any) -> V | None:
        found = self._known.get(id(owner))
        return found[1] if found is not None and found[0]() is owner else None

    def set(self, owner: Any, value: V) -> None:
        """Set the value until the object is freed."""
        key, known = id(owner), self._known

        def forget(gone: ref[Any]) -> None:
            found = known.get(key)
            if found is not None and found[0] is gone:
                del known[key]

        known[key] = (ref(owner, forget), value)

    def values(self) -> list[V]:
        return [value for _, value in self._known.copy().values()]

    def __len__(self) -> int:
        return len(self._known)
