"""What the gate and the IMAP child it starts agree on. Each imports this, and neither the other."""

from __future__ import annotations

from typing import Final

GATE_USER: Final = "gate"
"""The only authentication id that may sign in."""
READY: Final = b"ready\n"
"""The child's first line on standard output: its socket answers."""
