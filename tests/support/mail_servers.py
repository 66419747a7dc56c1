"""A gate before real mail servers, whatever they are: the tables of its upstreams, and nothing built in."""

import json
import re
from pathlib import Path

from config.authority import write_file
from support.house import House
from support.serving import make_gate

_BUILT_IN = re.compile(r'\n\[upstream\.smtp\]\naddress = "embedded"\n.*?(?=\n\[policy\])', re.DOTALL)
_HTTPS = re.compile(r"^https = .*\n", re.MULTILINE)


def make_mail_gate(folder: Path, imap: str, smtp: str) -> House:
    """Make a configuration with these lines in `[upstream.imap]` and `[upstream.smtp]`, and no DAV."""
    house = make_gate(folder, imap)
    text, found = _BUILT_IN.subn(lambda _: f"\n[upstream.smtp]\n{smtp}\n", house.file.read_text("utf-8"))
    assert found == 1, "the first configuration reads otherwise by now"
    house.file.write_text(_HTTPS.sub("", text), "utf-8")
    return house


def signing_in(folder: Path, secret: str, kind: str = "authzid", **more: str) -> str:
    """Give the line `sign_in` of a gate that is `gate` there; the secret goes to a file in `folder`."""
    file = folder / "gate.secret"
    if not file.exists():
        write_file(file, f"{secret}\n".encode(), 0o400)
    values = {"kind": kind, "user": "gate", "secret_file": str(file)} | more
    return f"sign_in = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in values.items())} }}"


def upstream(address: str, ca_file: Path, *lines: str) -> str:
    """Give the lines of one upstream over TLS."""
    return "\n".join([f'address = "{address}"', f'ca_file = "{ca_file}"', *lines])
