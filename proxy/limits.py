"""Every size, count and time limit of the server, unit in the name, reason beside it.

Nothing here is read from the config: what an administrator may change lives in `config.models`. Limits that
belong to credentials (hash queue, throttle windows) live beside their code in `auth`.
"""

from __future__ import annotations

from typing import Final

# --- connections, before anyone signed in ---------------------------------------------------------

DESCRIPTORS: Final = 65_536
"""Open files asked of the system, as far as its hard limit allows: 1,024 would be 500 sessions."""
TLS_HANDSHAKE_S: Final = 10.0
"""A handshake is over in a few round trips; the slowest honest link needs no more."""
PROXY_HEADER_S: Final = 5.0
"""For the header a load balancer sends at once; its protocol asks for 3 s at least: packets get lost."""
PROXY_HEADER_OCTETS: Final = 4_096
"""One such header with its TLVs; 36 are addresses, what is told of TLS has some hundreds."""
STRANGERS_UNANNOUNCED: Final = 250
"""Connections of load balancers that have not said yet whose they are, in all; each does it at once."""
SIGN_IN_S: Final = 60.0
"""From the accepted socket to a tagged OK; a person typing a password is not on this connection."""
STRANGERS_PER_ADDRESS: Final = 60
"""Connections before sign-in from one /32 or /64; Apple clients open up to 40 at once."""
STRANGERS_PER_SITE: Final = 240
"""The same for an IPv6 /48."""
STRANGERS_IN_ALL: Final = 1_000
"""Connections before sign-in from everyone; beyond it the oldest idle one is dropped."""
ACCEPT_BACKOFF_S: Final = 0.1
"""Pause after EMFILE, ENFILE, ENOBUFS or ENOMEM: the listener neither spins nor dies."""
ACCEPT_BACKLOG: Final = 1_024
ACCEPT_BATCH: Final = 32
"""Connections taken at one wake-up; a flood of them leaves room for those who are already here."""
RECEIVE_OCTETS: Final = 8_192
"""Read at a time from who has not signed in: a whole command of any honest client."""
ERRORS_PER_CONNECTION: Final = 10
"""Bad commands before the connection is closed; an HTTP verb closes it at once (ALPACA)."""
COMMANDS_PER_CONNECTION: Final = 100
"""Commands before sign-in, good ones too: a client needs a dozen, and a flood of NOOP owns the processor."""
SIGN_IN_FAILURES_PER_CONNECTION: Final = 5
"""Refused sign-ins before BYE; at least three, Claws Mail takes an early BYE for an outage."""
RETRY_AFTER_S: Final = 30
"""What HTTP clients are told to wait after 429 and 503."""

# --- IMAP before sign-in (RFC 9051, RFC 7888, RFC 2971) -------------------------------------------

IMAP_LINE_OCTETS: Final = 8_192
"""RFC 7162 §4 recommends that servers take lines of at least 8,192 octets."""
IMAP_SASL_LINE_OCTETS: Final = 12_288
"""RFC 4954 §4.12 names this for SASL answers; used on every protocol."""
IMAP_LITERAL_OCTETS: Final = 4_096
"""LITERAL- promises exactly this (RFC 7888 §5)."""
IMAP_LITERAL_DIGITS: Final = 5
IMAP_LITERALS: Final = 64
"""In one command; thirty pairs in ID are sixty strings, and new Outlook sends each as a literal."""
IMAP_COMMAND_OCTETS: Final = 65_536
"""One command with all its literals: thirty pairs of 1 KiB in ID, with room to spare."""
IMAP_NESTING: Final = 8
IMAP_ID_PAIRS: Final = 30
"""RFC 2971 §3.3."""
IMAP_ID_VALUE_OCTETS: Final = 1_024
"""RFC 2971 §3.3 says at most 1,024 octets a value."""

# --- SMTP before sign-in, and the commands after it (RFC 5321, RFC 4954) ---------------------------

SMTP_LINE_OCTETS: Final = 8_192
"""RFC 5321 §4.5.3.1.4 names 512, and each extension more; the same as on IMAP."""
SMTP_SASL_LINE_OCTETS: Final = 12_288
"""RFC 4954 §4 names this for AUTH and the lines of its exchange."""
SMTP_PATH_OCTETS: Final = 1_024
"""RFC 5321 §4.5.3.1.3 names 256 as what all must take; senders that encode recipients are longer."""
SMTP_DOMAIN_OCTETS: Final = 255
"""RFC 5321 §4.5.3.1.2; DNS has no longer ones."""
SMTP_PARAMETERS: Final = 20
"""In one MAIL or RCPT; fewer are registered for either."""

# --- upstream -------------------------------------------------------------------------------------

UPSTREAM_CONNECT_S: Final = 5.0
UPSTREAM_SIGN_IN_S: Final = 9.0
"""From connect to the upstream's tagged reply, handshake and all; a silent upstream is an outage after this.
With what the gate itself takes, a client hears of it within 10 s."""
UPSTREAM_PREAMBLE_OCTETS: Final = 65_536
"""Greeting, capabilities and untagged lines before the tagged reply, in all."""
OAUTH2_EXCHANGE_S: Final = 10.0
"""For an OAuth 2 provider's whole answer; its client waits for it before the upstream is asked."""
OAUTH2_ANSWER_OCTETS: Final = 65_536
"""One answer of an OAuth 2 provider; three tokens of the longest kind have some 12,000."""
UPSTREAM_TRY_S: Final = 25.0
"""For all that others are asked when an owner replaces what is stored: a provider, then two mail servers.
The owner looks at a page that is loading meanwhile."""
UPSTREAM_TRIES_AT_ONCE: Final = 8
"""Such tries under way in all; accounts take turns in nothing else, and each has one."""
AUTHORISE_S: Final = 900.0
"""For a person to sign in at a provider, to agree and to come back."""
PRIMARY_ASK_S: Final = 20.0
"""For a mail server to say whether a primary password is right, waiting for others' answers included."""
PRIMARIES_AT_ONCE: Final = 16
"""Mailbox passwords tried at once; a server takes seconds to refuse one, and the gate is one client of it."""
PIPELINED_OCTETS: Final = 65_536
"""What a client may send behind LOGIN before we stop reading it."""

# --- after sign-in --------------------------------------------------------------------------------

RELAY_BUFFER_OCTETS: Final = 262_144
"""The one receive buffer of the process, and the most a reader that does not read can hold in us."""
IMAP_IDLE_S: Final = 35 * 60.0
"""RFC 9051 §5.4 asks for at least 30 minutes."""
IMAP_WATCHED_LINE_OCTETS: Final = 65_536
"""One line of a command that is watched, held until its end: as Dovecot has it, for sets of UIDs get long."""
IMAP_WATCHED_READ_OCTETS: Final = 16_384
"""Read at a time from a client whose commands are watched, beside the line that is held."""
IMAP_WATCHED_REPLIES_OCTETS: Final = 16_384
"""Replies of ours waiting for a client above which no more of its commands are looked at."""
IMAP_WATCHED_COMMANDS: Final = 256
"""Commands under way whose tags are kept; no more are passed on until some are answered."""
IMAP_TAG_OCTETS: Final = 64
"""RFC 9051 §2.2.1 shows four; the longest seen in clients have some twenty."""
IMAP_RESPONSE_HEAD_OCTETS: Final = 16_384
"""Of an upstream's line held to see what it is; lists of capabilities have some hundreds."""
TLS_CHUNK_OCTETS: Final = 65_536
"""What goes through OpenSSL at a time: it stays in the processor's cache."""
TLS_UNREAD_OCTETS: Final = 131_072
"""Unsent octets of a connection above which no key update is answered any more: two chunks under way."""
TLS_RECORD_OCTETS: Final = 16_384
"""RFC 8446 §5.1."""
RELAY_CLOSING_S: Final = 10.0
"""How long the rest of a session may be quiet once one side has ended."""
CLOSE_S: Final = 2.0
"""For the last words of a connection to reach a peer that is still writing."""
CLOSE_OCTETS: Final = 1_048_576
"""Of that peer's octets thrown away meanwhile; one that sends more is not listening."""
TCP_KEEPALIVE_IDLE_S: Final = 120
TCP_KEEPALIVE_INTERVAL_S: Final = 30
TCP_KEEPALIVE_PROBES: Final = 4

# --- SMTP after sign-in (RFC 5321 §4.5.3) ---------------------------------------------------------

SMTP_REPLY_LINE_OCTETS: Final = 512
"""RFC 5321 §4.5.3.1.5: what a client must be able to take, code and CRLF included."""
SMTP_REPLY_LINES: Final = 100
"""In one reply of an upstream; EHLO has some twenty."""
SMTP_REPLY_READ_OCTETS: Final = 32_768
"""One reply of an upstream in all, as it came; RFC 4954 §4 wants 12,288 in a line."""
SMTP_COMMAND_S: Final = 300.0
"""RFC 5321 §4.5.3.2.7: for the client's next command."""
SMTP_REPLY_S: Final = 300.0
"""RFC 5321 §4.5.3.2.2 and .3: for the upstream's reply to MAIL, RCPT and what is quicker."""
SMTP_DATA_START_S: Final = 120.0
"""RFC 5321 §4.5.3.2.4: for the upstream's 354."""
SMTP_DATA_BLOCK_S: Final = 180.0
"""RFC 5321 §4.5.3.2.5: for the next octets of a message to come, or to be taken; for replies to be read."""
SMTP_DATA_END_S: Final = 600.0
"""RFC 5321 §4.5.3.2.6: for the upstream's reply to the final dot; too short a time doubles messages."""
SMTP_DATA_END_GONE_S: Final = 10.0
"""The same when the client has vanished or its app password was revoked."""
SMTP_BLOCK_OCTETS: Final = 65_536
"""Octets of a message read at a time: the most of it that is held."""
SMTP_PIPELINE_OCTETS: Final = 65_536
"""Octets held of what a client sends while an answer is due."""
SMTP_PIPELINE_COMMANDS: Final = 50
"""Sent to an upstream before its replies are read: neither may fill the other's window (RFC 2920 §3.1)."""
SMTP_CHUNK_DIGITS: Final = 18
"""Of the number behind BDAT; it fits into 63 bits, so every server behind reads the same one."""
SMTP_HEADER_OCTETS: Final = 262_144
"""A message's header where its From is checked; it is held until the empty line."""
SMTP_FROM_OCTETS: Final = 8_192
"""One From field: a hundred addresses, and parsing it must not hold up others."""
SMTP_DRAIN_S: Final = 60.0
"""For the rest of a message that is refused before its end."""
SMTP_DRAIN_QUIET_S: Final = 10.0
"""Without an octet of it: that client takes its message for ended, and waits for us."""
SMTP_DRAIN_OCTETS: Final = 128 * 1_048_576
"""Of it thrown away; a larger message ends without a reply."""

# --- worker ---------------------------------------------------------------------------------------

CERTIFICATE_POLL_S: Final = 5.0
"""How often the certificate files are looked at; a new one is read at the second look."""
FEED_POLL_S: Final = 0.1
"""How often an idle worker looks at the change feed; a revocation cuts within a second."""
FEED_BLIND_S: Final = 30.0
"""Without a successful look for this long, every session is cut."""
REPORT_WAIT_S: Final = 2.0
"""How long the command line waits for the workers' reports of a revocation."""
ACTIVITY_BATCH_S: Final = 0.5
"""How long sign-ins gather before they are written together."""
ACTIVITY_PENDING: Final = 10_000
"""Records kept while the activity store cannot be written."""
STOP_S: Final = 0.5
"""What connections get to end by themselves when the server stops, and then to hear BYE."""
STOP_UNDER_WAY_S: Final = 25.0
"""What a message or a request under way gets to be finished when the server stops; all ends within 30 s."""
RELOAD_GRACE_S: Final = 60.0
"""How long what an earlier configuration made is kept for sign-ins that began with it; they end sooner."""

# --- DAV, the front-end (RFC 9110, RFC 9112) -----------------------------------------------------------

DAV_HEAD_OCTETS: Final = 32_768
"""Request line and header fields; a dozen fields are some 600 octets, and cookies are no use here."""
DAV_FIELDS: Final = 100
"""In one head; no client sends thirty."""
DAV_TARGET_OCTETS: Final = 8_192
"""RFC 9112 §3 recommends that at least 8,000 octets are taken."""
DAV_CHUNK_LINE_OCTETS: Final = 256
"""Size and extensions of one chunk, which nobody uses."""
DAV_TRAILER_OCTETS: Final = 8_192
"""All fields behind the last chunk; they are dropped."""
DAV_IDLE_S: Final = 75.0
"""Between two requests; clients ask again at once or minutes later."""
DAV_QUIET_S: Final = 60.0
"""For the next octets of a request's body, or for the next of an answer to be taken."""
DAV_WATCH_S: Final = 1.0
"""Work that takes longer is given up when its client has gone; most is done in milliseconds."""
DAV_JUDGED_S: Final = 1.0
"""For a body to come; then the wall is asked once more, for a client could stretch this for ever."""
DAV_OBJECT_OCTETS: Final = 32 * 1_048_576
"""One PUT; contacts hold photos, events hold attachments, servers take 10 to 100 MB."""
DAV_HOLD_OCTETS: Final = 65_536
"""Of a body that nobody wants read to its end, so that its connection can be used again; and of an answer
held back before its first octet goes out, so that most faults in it still get a status of their own."""

# --- DAV, the server behind ----------------------------------------------------------------------------

DAV_UPSTREAM_ANSWER_S: Final = 60.0
"""Silence of the server behind before it counts as an outage; a large collection takes seconds."""
DAV_UPSTREAM_HEAD_OCTETS: Final = 65_536
"""Status line and fields of an answer, interim ones included."""
DAV_UPSTREAM_CONNECTIONS: Final = 64
"""At a time, in use and kept for the next request; small servers take a hundred."""
DAV_UPSTREAM_OF_ONE: Final = 16
"""Of these in use for one account; an app asks four to eight things at a time."""
DAV_UPSTREAM_TURN_S: Final = 10.0
"""For one of them to become free."""
DAV_UPSTREAM_IDLE_S: Final = 60.0
"""How long one is kept; servers close theirs after two minutes or so."""
DAV_ASK_S: Final = 10.0
"""For a question of our own, from connect to the last octet of its answer."""

# --- DAV, the scope wall -----------------------------------------------------------------------------

DAV_XML_OCTETS: Final = 1_048_576
"""A request's XML body; a multiget of 5,000 long paths fits."""
DAV_XML_ELEMENTS: Final = 5_000
"""In a request's XML body, attributes counted too; clients ask for some hundreds of objects at a time."""
DAV_XML_PROPERTIES: Final = 200
"""Named in a request's XML body; clients ask for some dozens."""
DAV_XML_DEPTH: Final = 64
"""Nesting in XML, both ways; the deepest calendar filters need a dozen."""
DAV_XML_SLICE_OCTETS: Final = 4_096
"""Given to the XML parser at once."""
DAV_XML_TOKEN_OCTETS: Final = 16_384
"""One tag or comment in XML, both ways; the longest that are written have some hundreds. Of a tag of n octets
the parser makes n * n / 32 before it is heard of: here, with a slice more, some 13 MB."""
DAV_ASK_OCTETS: Final = 8 * 1_048_576
"""The answer to a question of our own; a listing of some ten thousand paths fits."""
DAV_KIND_S: Final = 60.0
"""How long the kind of a path of the client's own may be remembered."""
DAV_KINDS: Final = 512
"""Paths remembered for one account."""
DAV_KIND_ACCOUNTS: Final = 256
"""Accounts with remembered paths; the one not asked for longest is forgotten. Some 40 MB when all is full."""
DAV_ANSWER_OCTETS: Final = 1_073_741_824
"""A whole multi-status answer; it is never held."""
DAV_RESPONSE_OCTETS: Final = 16 * 1_048_576
"""One response in it, the only thing that is held: an object with its pictures, as large as servers store."""
DAV_RESPONSE_ELEMENTS: Final = 10_000
"""The same in elements; a collection with all its properties has some hundreds."""
DAV_ERROR_OCTETS: Final = 65_536
"""The body of an error answer, of which only the precondition is passed on."""

# --- embedded mail ---------------------------------------------------------------------------------

EMBEDDED_MESSAGE_OCTETS: Final = 50 * 1_048_576
"""One message by APPEND; providers take 25 to 50 MB, and it is held in memory once."""
EMBEDDED_LINE_OCTETS: Final = 65_536
"""Sets of UIDs get long; RFC 7162 §4 asks for at least 8,192."""
EMBEDDED_LITERAL_OCTETS: Final = 65_536
"""A literal that is no message: names, search texts."""
EMBEDDED_FETCH_ITEMS: Final = 50
"""What one FETCH may ask of a message; clients ask for five to ten things."""
EMBEDDED_FETCH_OCTETS: Final = 4 * EMBEDDED_MESSAGE_OCTETS
"""One answer about one message: the whole of the largest, its text, its header and its parts besides."""
EMBEDDED_SEARCH_OCTETS: Final = 2 * 1_048_576
"""As much of one message's text is searched, in its transfer encoding; attachments are not text."""
EMBEDDED_TURN_OCTETS: Final = 262_144
"""Octets of messages read by a FETCH or SEARCH before other sessions get their turn."""
EMBEDDED_TIMEOUT_S: Final = 40 * 60
"""Silence of a signed-in client; behind the gate's own limit, so that the gate decides."""
EMBEDDED_POLL_S: Final = 0.25
"""How often an IDLE session looks at its folder for mail from outside: two `stat`."""
EMBEDDED_START_S: Final = 20.0
"""From the start of a child to its first word; a loaded machine starts Python slowly."""
EMBEDDED_STOP_S: Final = 5.0
"""For a child to leave after the end of its pipe, before it is killed."""
EMBEDDED_RESTART_FIRST_S: Final = 0.1
EMBEDDED_RESTART_LONGEST_S: Final = 10.0
"""Pause before a dead child is started again: doubled each time, from the first to the longest."""
EMBEDDED_STEADY_S: Final = 30.0
"""A child that lived this long has recovered: the next pause is the first again."""

# --- embedded delivery -----------------------------------------------------------------------------

EMBEDDED_SMTP_LINE_OCTETS: Final = 4_096
"""A command of the gate: AUTH with an email of 320 octets, MAIL and RCPT with what the gate lets through."""
EMBEDDED_RECIPIENTS: Final = 1_000
"""Of one message, each a mailbox to write to; RFC 5321 §4.5.3.1.8 wants at least 100."""
EMBEDDED_LOOKUP_S: Final = 5.0
"""For the store to say whose an address is; the same as it waits for another process."""
EMBEDDED_ANSWER_S: Final = 20.0
"""For the child to hear so: questions are answered one after the other."""
EMBEDDED_JOURNAL_S: Final = 86_400.0
"""A message that was cut short is known again for a day; clients try for minutes, or when they are opened."""
EMBEDDED_JOURNAL_LOOK_S: Final = 3_600.0
"""Between two looks for journals that no longer count."""

# --- embedded contacts and calendars ---------------------------------------------------------------

EMBEDDED_DAV_BODY_OCTETS: Final = 100_000_000
"""One item; photographs in contacts are megabytes."""
EMBEDDED_DAV_THREADS: Final = 4
"""Radicale locks its storage for every write: more would wait for each other."""

# --- mails of the gate itself ----------------------------------------------------------------------

MAIL_POLL_S: Final = 2.0
"""Between two looks for what is to be sent; whoever has just revoked a password looks into the mailbox."""
MAIL_HAND_IN_S: Final = 300.0
"""For one message, from MAIL to the reply to its end; filters take their time (RFC 5321 §4.5.3.2: 10 min)."""
MAIL_LEASE_S: Final = 600
"""As long a message is one process's to send; longer than a sign-in and the above."""
MAIL_PAUSE_FIRST_S: Final = 60.0
MAIL_PAUSE_LONGEST_S: Final = 4 * 3_600.0
"""Before another try: doubled each time, from the first to the longest (RFC 5321 §4.5.4.1)."""
MAIL_GIVE_UP_S: Final = 3 * 86_400
"""What could not be sent for so long is dropped; an invitation has ended by then."""
EXPIRY_SCAN_S: Final = 3_600.0
"""Between two looks for app passwords that expire soon."""

# --- the portal -------------------------------------------------------------------------------------

PORTAL_REQUEST_S: Final = 20.0
"""From the end of an answer, or of the handshake, to the next whole head: browsers keep connections open."""
PORTAL_BODY_S: Final = 20.0
"""For a form to come; the longest is a few thousand octets."""
PORTAL_FORM_OCTETS: Final = 65_536
PORTAL_TARGET_OCTETS: Final = 4_096
"""Of a request's target: what a provider sends a browser back with is the longest."""
PORTAL_FIELD_OCTETS: Final = 8_190
PORTAL_FIELDS: Final = 64
"""Browsers send some twenty."""
PORTAL_UNSENT_OCTETS: Final = 65_536
"""Of answers; above it the handler waits for the client."""
PORTAL_PIECE_OCTETS: Final = 16_384
PORTAL_PIECE_S: Final = 20.0
"""For a client to take one piece of an answer; one that does not read holds its place no longer."""
