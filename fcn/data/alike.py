"""Finds names that look the same: an é is one letter to Linux and Windows, and an e with an accent to macOS.

Source: Unicode Standard Annex 15, Unicode Normalization Forms (NFC and NFD).
"""
import unicodedata
from typing import Collection, Dict, Iterable, Optional


def composed(name: str) -> str:
    """Returns a name in the form that all names that look like it have: NFC."""
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def by_look(names: Iterable[str]) -> Dict[str, Optional[str]]:
    """Returns {composed name: the name}, of the names that are not ASCII; None where several look the same."""
    found: Dict[str, Optional[str]] = {}
    for name in names:
        if not name.isascii():
            look = composed(name)
            found[look] = None if look in found else name
    return found


class Names:
    """Finds names among those of files, in whichever form each of both is written.

    names: the names of files.
    """

    def __init__(self, names: Collection[str]):
        self._names, self._looks = names, None

    def find(self, name: str) -> Optional[str]:
        """Returns that one of the names or, where it is not there, the one that alone looks like it; None: no such."""
        if name in self._names:
            return name
        if name.isascii():
            return None
        if self._looks is None:
            self._looks = by_look(self._names)
        return self._looks.get(composed(name))
