"""The rules of the house: how many app passwords, what may be sent, what hashes cost."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from config.fields import WholeNumber
from config.section import Section

MOST_APP_PASSWORDS: Final = 25
_MOST_KIB: Final = 1_048_576
_MOST_PASSES: Final = 10


class AppCost(Section):
    """What one argon2id hash of an app password costs, on one lane; stretching gains nothing here."""

    memory_kib: WholeNumber = Field(default=4_096, ge=1_024, le=_MOST_KIB, description="memory in KiB")
    passes: WholeNumber = Field(default=1, ge=1, le=_MOST_PASSES, description="passes over that memory")


class PrimaryCost(Section):
    """What one argon2id hash of a primary password costs; the floor is OWASP's (19 MiB, 2 passes)."""

    memory_kib: WholeNumber = Field(default=65_536, ge=19_456, le=_MOST_KIB, description="memory in KiB")
    passes: WholeNumber = Field(default=3, ge=2, le=_MOST_PASSES, description="passes over that memory")


class Hashing(Section):
    """What the two kinds of hash cost."""

    app: AppCost = Field(default=AppCost(), description="for app passwords, which the machine makes")
    primary: PrimaryCost = Field(
        default=PrimaryCost(), description="for primary passwords, which people choose"
    )


class Policy(Section):
    """The rules of the house."""

    app_passwords: WholeNumber = Field(
        default=MOST_APP_PASSWORDS,
        ge=1,
        le=MOST_APP_PASSWORDS,
        description="active app passwords of one account",
    )
    sender: Literal["upstream", "own", "report"] | None = Field(
        default=None,
        description='who may be the sender of a message: "upstream" leaves it to the server behind, '
        '"own" takes the account\'s own addresses alone, "report" writes the others into the log',
        json_schema_extra={"without": "`own` before the embedded server, else `upstream`"},
    )
    bare_newlines: Literal["refuse", "normalise"] = Field(
        default="refuse",
        description='what is done about a CR or LF that stands alone in a message: "refuse" it, '
        'or "normalise" it to CRLF, for old clients',
    )
    message_octets: WholeNumber = Field(
        default=52_428_800,
        ge=65_536,
        le=2_147_483_647,
        description="the largest message that is taken, the smallest limit of the servers behind (RFC 1870)",
    )
    hashing: Hashing = Field(default=Hashing(), description="what the hashes cost")
