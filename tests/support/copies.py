"""The ways a value travels between processes and places."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

TRAVELS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest pickle": lambda value: pickle.loads(pickle.dumps(value, protocol=0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
