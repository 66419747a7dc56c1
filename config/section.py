"""What every table of the configuration is: frozen once read, and strict about the keys it knows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file: unknown keys are errors and nothing changes once read."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=True, hide_input_in_errors=True
    )
