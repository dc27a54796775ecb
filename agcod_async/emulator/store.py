"""The file in which an emulator's books survive a restart."""

import os
import tempfile
from pathlib import Path

from .state import State


class StateFile:
    """Reads and writes the books, whole, readable for their owner alone. Without secrets or claim codes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = -1

    def load(self, state: State) -> None:
        """
        Restore the books if there is a file.

        Raises:
            ValueError: The file is there, but holds no books.
        """
        if self._path.exists():
            state.restore(self._path.read_bytes())
            self._written = state.serial

    def changes(self, state: State) -> bytes | None:
        """The books, unless nothing has happened since they were asked for last."""
        if state.serial == self._written:
            return None
        self._written = state.serial
        return state.snapshot()

    def write(self, books: bytes) -> None:
        """Replace the file. A crash leaves the old one or the new one."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(books)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._path)
