"""The files a configuration names are found in its models, secrets apart from what everybody may see."""

from pathlib import Path

from config.load import load
from config.named import named_files
from support.house import make_house

MORE = """
[upstream.imap]
address = "imaps://mail.example.org"
ca_file = "behind/ca.pem"
client_certificate = "behind/gate.pem"
client_key = "behind/gate.key"
sign_in = { kind = "authzid", user = "gate", secret_file = "behind/gate.secret" }

[[domain]]
name = "example.net"
[domain.upstream.imap]
address = "imaps://mail.example.net"
sign_in = { kind = "oauth2", provider = "google" }

[oauth2.google]
preset = "google"
client_id = "x"
client_secret_file = "behind/google.secret"
"""


def test_every_file_is_named_once_with_its_key(tmp_path: Path) -> None:
    file = make_house(tmp_path / "w").file
    before, _, after = file.read_text("utf-8").partition("[upstream.imap]\n")
    file.write_text(before + MORE + after.partition("\n\n")[2], "utf-8")
    config = load(file)
    found = {named.key: (named.path.relative_to(file.parent), named.secret) for named in named_files(config)}
    (key,) = config.keys.files
    assert found == {
        "tls.certificate[0].certificate": (Path("tls/server.pem"), False),
        "tls.certificate[0].key": (Path("tls/server.key"), True),
        f"keys.files.{key}": (Path(f"keys/{key}.key"), True),
        "upstream.imap.ca_file": (Path("behind/ca.pem"), False),
        "upstream.imap.client_certificate": (Path("behind/gate.pem"), False),
        "upstream.imap.client_key": (Path("behind/gate.key"), True),
        "upstream.imap.sign_in.secret_file": (Path("behind/gate.secret"), True),
        "oauth2.google.client_secret_file": (Path("behind/google.secret"), True),
    }
    assert len(named_files(config)) == len(found)
