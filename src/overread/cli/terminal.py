"""Where words are printed."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

UNBOUNDED = 10_000
"""characters"""


class Terminal(Console):
    """A console that falls silent, and stops nothing, when the reader of its pipe has gone.

    Where there is no terminal, tables are as wide as they need to be: a line an entry, for grep.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, **settings)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = UNBOUNDED

    def on_broken_pipe(self) -> None:
        """Print nowhere from now on: a training must not end because `| head` has."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
