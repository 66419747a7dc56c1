"""How providers of mail speak at sign-in, as tables, with the page that each was taken from.

Where there is no page, it is what clients' logs show. None of it was tried on the real one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """How one provider speaks. `{…}` is filled in where it stands."""

    imap_greeting: str
    imap_before: str
    """Capabilities before sign-in."""
    imap_after: str
    imap_tells_after: bool
    """Whether the capabilities after sign-in come in an untagged line before the tagged OK."""
    imap_accepted: str
    imap_refused: str
    imap_token_refused: str
    smtp_greeting: str
    smtp_before: tuple[str, ...]
    """What EHLO says in clear; empty where TLS begins with the first octet."""
    smtp_after: tuple[str, ...]
    smtp_accepted: str
    smtp_refused: tuple[str, ...]
    token_error: str = ""
    """The JSON of the challenge that tells of a bad token; empty where a token is refused without one."""
    imap_login_is_local: bool = False
    """IMAP knows the account by what stands before the @, SMTP by the whole address."""


# developers.google.com/gmail/imap/xoauth2-protocol; the untagged CAPABILITY as clients see it.
GMAIL = Dialect(
    imap_greeting="Gimap ready for requests from 192.0.2.7 zh1mb199258645pbc",
    imap_before="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR "
    "AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER",
    imap_after="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS "
    "COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- "
    "SPECIAL-USE",
    imap_tells_after=True,
    imap_accepted="{login} authenticated (Success)",
    imap_refused="[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    imap_token_refused="SASL authentication failed",
    smtp_greeting="220 mx.google.com ESMTP 12sm2095603fks.9",
    smtp_before=("SIZE 35882577", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8"),
    smtp_after=("SIZE 35882577", "8BITMIME", "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER",
                "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"),
    smtp_accepted="235 2.7.0 Accepted",
    smtp_refused=("535-5.7.8 Username and Password not accepted. For more information, go to",
                  "535 5.7.8  https://support.google.com/mail/?p=BadCredentials 12sm2095603fks.9"),
    token_error='{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
)  # fmt: skip

# learn.microsoft.com/exchange/client-developer/legacy-protocols/
# how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
MICROSOFT365 = Dialect(
    imap_greeting="The Microsoft Exchange IMAP4 service is ready. "
    "[TABPADIAUAAxADIAMwBDAEEAMAAxADIAMwAuAEUAVQBSAFAA]",
    imap_before="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE "
    "NAMESPACE LITERAL+",
    imap_after="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES "
    "CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+",
    imap_tells_after=False,
    imap_accepted="AUTHENTICATE completed.",
    imap_refused="LOGIN failed.",
    imap_token_refused="AUTHENTICATE failed.",
    smtp_greeting="220 AM0PR02CA0123.outlook.office365.com Microsoft ESMTP MAIL Service ready at Fri",
    smtp_before=("SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "8BITMIME",
                 "BINARYMIME", "CHUNKING", "SMTPUTF8"),
    smtp_after=("SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "AUTH LOGIN XOAUTH2",
                "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"),
    smtp_accepted="235 2.7.0 Authentication successful",
    smtp_refused=("535 5.7.3 Authentication unsuccessful [AM0PR02CA0123.eurprd02.prod.outlook.com]",),
)  # fmt: skip

# support.apple.com/en-us/102525: IMAP wants what stands before the @, SMTP the whole address.
ICLOUD = Dialect(
    imap_greeting="[CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PTOKEN "
    "AUTH=ATOKEN2 AUTH=PTOKEN2 AUTH=XOAUTH2 AUTH=PLAIN] (2620B20-0f1e2d3c4b5a) p00-imap-1.me.com",
    imap_before="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PTOKEN AUTH=PLAIN",
    imap_after="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 ACL QUOTA LITERAL+ NAMESPACE UIDPLUS CHILDREN BINARY "
    "UNSELECT SORT CATENATE URLAUTH LANGUAGE ESEARCH ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES "
    "CONDSTORE ENABLE CONTEXT=SEARCH CONTEXT=SORT WITHIN SASL-IR SEARCHRES XSENDER X-NETSCAPE XSERVERINFO "
    "X-SUN-SORT IDLE",
    imap_tells_after=False,
    imap_accepted="user {login} logged in",
    imap_refused="[AUTHENTICATIONFAILED] Authentication failed",
    imap_token_refused="[AUTHENTICATIONFAILED] Authentication failed",
    smtp_greeting="220 iCloud SMTP - p00-smtp-1.me.com 2620B20-0f1e2d3c4b5a",
    smtp_before=("PIPELINING", "SIZE 28319744", "ETRN", "STARTTLS", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN",
                 "CHUNKING"),
    smtp_after=("PIPELINING", "SIZE 28319744", "ETRN", "AUTH LOGIN PLAIN ATOKEN ATOKEN2 WSTOKEN WETOKEN",
                "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "CHUNKING"),
    smtp_accepted="235 2.7.0 Authentication successful",
    smtp_refused=("535 5.7.8 Error: authentication failed: authentication failure",),
    imap_login_is_local=True,
)  # fmt: skip

# www.fastmail.help/hc/en-us/articles/1500000278342 for ports; Cyrus behind a proxy, as its greeting shows.
FASTMAIL = Dialect(
    imap_greeting="IMAP4 ready",
    imap_before="IMAP4 IMAP4rev1 LITERAL+ ID ENABLE SASL-IR AUTH=PLAIN AUTH=OAUTHBEARER AUTH=XOAUTH2",
    imap_after="IMAP4 IMAP4rev1 LITERAL+ ID ENABLE ACL ANNOTATE-EXPERIMENT-1 BINARY CATENATE CHILDREN "
    "CONDSTORE ESEARCH IDLE LIST-EXTENDED LIST-STATUS MOVE NAMESPACE OBJECTID QRESYNC QUOTA SORT SPECIAL-USE "
    "UIDPLUS",
    imap_tells_after=True,
    imap_accepted="completed",
    imap_refused="[AUTHENTICATIONFAILED] Incorrect username, password or access token",
    imap_token_refused="[AUTHENTICATIONFAILED] Incorrect username, password or access token",
    smtp_greeting="220 smtp.fastmail.com ESMTP ready",
    smtp_before=(),
    smtp_after=("PIPELINING", "SIZE 71000000", "ENHANCEDSTATUSCODES", "8BITMIME",
                "AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2"),
    smtp_accepted="235 2.0.0 OK",
    smtp_refused=("535 5.7.0 Incorrect username, password or access token",),
    token_error='{"status":"invalid_token","scope":"https://www.fastmail.com/dev/protocol-imap"}',
)  # fmt: skip
