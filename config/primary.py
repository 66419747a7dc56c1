"""Whose primary password it is, and how people come in first: `[primary]`, `[domain.primary]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from config.problems import wrong
from config.section import Section


class Primary(Section):
    """How primary passwords are checked."""

    kind: Literal["local", "imap"] = Field(
        default="local",
        description='"local": kept by Wicketgate, hashed; "imap": that of the mailbox, tried at '
        "`[upstream.imap]` at every sign-in, of which a hash of the last that worked is kept",
    )
    create: Literal["invited", "first-sign-in"] = Field(
        default="invited",
        description='for kind "imap", how an account begins: "invited" by `wicketgate account invite`, or '
        'with "first-sign-in" by whoever knows the mailbox password and comes to the portal first',
    )

    @field_validator("create")
    @classmethod
    def _first_sign_in_needs_a_server(cls, value: str, info: ValidationInfo) -> str:
        if value == "first-sign-in" and info.data.get("kind") == "local":
            hint = 'write kind = "imap" beside it, or "invited"'
            raise wrong("has no meaning for primary passwords that Wicketgate keeps itself", hint)
        return value
