"""What to change when a server behind cannot be reached or signed in at, from what the failure says."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = "write the name in its certificate as the host of address, or as server_name"
_NOT_TLS: Final = "no TLS begins there: write imap+starttls:// or smtp+starttls://, or the port where it does"
_MECHANISM: Final = "let it offer that way (Dovecot: auth_mechanisms; Postfix: smtpd_sasl_auth_enable)"
_REFUSED: Final = (
    "see that sign_in is as the server behind has it, that it lets the gate act for this account, "
    "and that it knows the account's login"
)
_STALE: Final = "the secret stored for the account holds no more: wicketgate account set-upstream EMAIL"
_TLS_FIRST: Final = "if TLS begins at once on that port, write imaps:// or smtps://; else see its own log"
_ANOTHER: Final = "see that a server of this protocol listens on that port; else what it says is why"
_ILL: Final = "its own log says why it lets nobody in at the moment; the sign-in itself may be right"
_SENDER: Final = "let that server take mails of this sender from the gate's login, or name another address"
_HINTS: Final = (
    (r"name not found|name look-up", "see that the host in address is right, and that DNS here knows it"),
    (r"ECONNREFUSED", "see that the server runs and listens on that port, and that address names it"),
    (r"ENOENT|EACCES", "see that the socket is there, and that this user may connect to it"),
    (r"connect timed out|EHOSTUNREACH|ENETUNREACH", "see that it runs, and that no firewall stands between"),
    (r"not yet valid", "its certificate begins in the future: set this machine's clock, or the server's"),
    (r"certificate has expired", "renew its certificate; if it is good, set this machine's clock"),
    (r"[Hh]ostname mismatch|IP address mismatch|doesn't match", _NAME),
    (r"certificate refused", "name the authority that signed its certificate with ca_file"),
    (r"no TLS with .*(?:wrong version number|record layer|closed)", _NOT_TLS),
    (r"TLS handshake timed out", _NOT_TLS),
    (r"\+starttls://.* did not answer in time \(waiting for the greeting\)", _TLS_FIRST),
    (r"did not greet with|sent what is no reply", _ANOTHER),
    (r"does not offer STARTTLS", "let it offer STARTTLS, or write imaps:// or smtps:// and its TLS port"),
    (r"does not offer AUTH|offers no sign-in by|refused AUTH", _MECHANISM),
    (r"no secret is stored", "store one: wicketgate account set-upstream EMAIL"),
    (r"not authorised at|refused the refresh token", "let it in again: wicketgate account authorize EMAIL"),
    (
        r"refused us: ",
        "see client_id, client_secret_file and scopes in that table, and the client at the provider",
    ),
    (
        r"cannot be asked",
        "see that the endpoints in [oauth2.NAME] are right, and that this machine reaches them",
    ),
    (r"token of .* cannot be read", "see that keys.files names the key that it was stored with"),
    (r"stored secret cannot be read", "see that keys.files names the key that it was stored with"),
    (r"refused our sign-in .*: '(?:4\d\d |NO \[(?:UNAVAILABLE|SERVERBUG|LIMIT|INUSE)\b)", _ILL),
    (r"refuse[sd] our sign-in", _REFUSED),
    (r"as its extensions say", "take out of extensions what its EHLO does not list, or let it offer that"),
    (r"refused the (?:sender|recipient): ", _SENDER),
    (r"XCLIENT", "let the server offer XCLIENT to the gate, or take client_address out"),
    (r"did not answer in time", "see the server's own log; it answered nothing within the gate's limit"),
)
_OTHER: Final = "see what the server's own log says"


def advice(failure: str, *, stored: bool = False) -> str:
    """Give what to do about a failure, by its words, which are ours.

    `stored` says that the account was signed in with a secret of its own.
    """
    hint = next((hint for words, hint in _HINTS if re.search(words, failure)), _OTHER)
    return _STALE if stored and hint == _REFUSED else hint
