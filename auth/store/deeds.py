"""What is done to the gate store, one function a step, each a plain function of a `Tx` that writes.

Steps are put together into deeds in `auth.accounts`; every deed ends with `conclude`, which writes the audit
line and then numbers the change: a deed, its audit line and its number are committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, update

from auth.store import feed, identities, news
from auth.store.engine import Tx
from auth.store.queries import limits_text
from auth.store.rows import AccountRow, AppPasswordRow, AuditEntry, FeedMark, RevokedWhy
from auth.store.schema import account, account_name, account_sender, app_password, audit, recovery_code
from scopes.model import in_order


def conclude(tx: Tx, entry: AuditEntry, ended: tuple[str, ...] = ()) -> FeedMark:
    """Write the audit line, number the change and give its mark. Nothing comes after it.

    `ended` names the app passwords whose attempts and sessions are to be cut. What is news for the owner is
    written down to be told.
    """
    news.tell(tx, entry, ended)
    tx.execute(insert(audit).values(**_line(entry)))
    return feed.advance(tx, entry.deed, entry.account_id, ended)


def conclude_many(tx: Tx, entries: Sequence[AuditEntry]) -> FeedMark | None:
    """Write the audit lines of one deed about many accounts, which is one change; without any it is none.

    Nothing comes after it. It is no news for owners, and ends no app password.
    """
    if not entries:
        return None
    tx.execute(insert(audit), [_line(entry) for entry in entries])
    return feed.advance(tx, entries[0].deed, "", ())


def _line(entry: AuditEntry) -> dict[str, object]:
    return {
        "at": entry.at,
        "actor_kind": entry.actor_kind,
        "actor_name": entry.actor_name,
        "actor_where": entry.where,
        "deed": entry.deed.value,
        "account_id": entry.account_id,
        "email": entry.email,
        "app_password_id": entry.app_password_id,
        "label": entry.label,
        "detail": entry.detail,
    }


# --- accounts -----------------------------------------------------------------------------------------------


def insert_account(tx: Tx, row: AccountRow) -> None:
    """Write a new account with its names; the caller has seen that they are free."""
    insert_accounts(tx, [row])


def insert_accounts(tx: Tx, rows: Sequence[AccountRow]) -> None:
    """Write new accounts with their names; the caller has seen that they are free."""
    if not rows:
        return
    columns = ("id", "email", "is_service", "created_at", "primary_hash", "primary_key_id", "version")
    tx.execute(insert(account), [{each: getattr(row, each) for each in columns} for row in rows])
    insert_names(tx, [(row.id, row.email) for row in rows], are_emails=True)
    insert_names(tx, [(row.id, alias) for row in rows for alias in row.aliases], are_emails=False)


def insert_name(tx: Tx, account_id: str, name: str, *, is_email: bool) -> None:
    """Let `name` sign in to the account."""
    insert_names(tx, [(account_id, name)], are_emails=is_email)


def insert_names(tx: Tx, names: Sequence[tuple[str, str]], *, are_emails: bool) -> None:
    """Let each of these names sign in to the account of the id before it."""
    rows = [{"name": name, "account_id": account_id, "is_email": are_emails} for account_id, name in names]
    if rows:
        tx.execute(insert(account_name), rows)


def delete_alias(tx: Tx, account_id: str, name: str) -> bool:
    """Take an alias away; False when the account has no such alias (its email is none)."""
    gone = tx.execute(
        delete(account_name).where(
            account_name.c.account_id == account_id, account_name.c.name == name, ~account_name.c.is_email
        )
    )
    return gone.rowcount == 1


def insert_sender(tx: Tx, account_id: str, address: str) -> None:
    """Let the account send as `address`; the caller has seen that it is not listed yet."""
    tx.execute(insert(account_sender).values(account_id=account_id, address=address))


def delete_sender(tx: Tx, account_id: str, address: str) -> bool:
    """Take a listed address away; False when it was not listed."""
    gone = tx.execute(
        delete(account_sender).where(
            account_sender.c.account_id == account_id, account_sender.c.address == address
        )
    )
    return gone.rowcount == 1


def set_disabled(tx: Tx, account_id: str, at: int | None) -> None:
    """Disable the account from `at`, or enable it with None."""
    update_account(tx, account_id, disabled_at=at)


def bury_account(tx: Tx, account_id: str, at: int) -> None:
    """Make the account a tombstone: its names are free, it sends as nobody, what proved its owner is gone.

    What opened its mailbox upstream is gone too.
    """
    tx.execute(delete(account_name).where(account_name.c.account_id == account_id))
    tx.execute(delete(account_sender).where(account_sender.c.account_id == account_id))
    identities.bury(tx, account_id)
    tx.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    update_account(
        tx,
        account_id,
        removed_at=at,
        primary_hash=None,
        primary_key_id=None,
        seed_key_id=None,
        seed_box=None,
        last_step=None,
    )


def set_primary(tx: Tx, account_id: str, primary_hash: str, key_id: str) -> None:
    """Store the hash of a new primary password, or of the same one at today's cost."""
    update_account(tx, account_id, primary_hash=primary_hash, primary_key_id=key_id)


def update_account(tx: Tx, account_id: str, **values: object) -> None:
    """Write columns of one account and step its version."""
    tx.execute(
        update(account).where(account.c.id == account_id).values(version=account.c.version + 1, **values)
    )


# --- app passwords ------------------------------------------------------------------------------------------


def insert_app_password(tx: Tx, row: AppPasswordRow) -> None:
    """Write a new app password; the caller has counted, and seen that label and selector are free."""
    tx.execute(
        insert(app_password).values(
            id=row.id,
            account_id=row.account_id,
            selector=row.selector,
            verifier_hash=row.verifier_hash,
            key_id=row.key_id,
            label=row.label,
            scopes=" ".join(in_order(row.scopes)),
            limits=limits_text(row.limits),
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            replaces=row.replaces,
            version=row.version,
        )
    )


def mark_shown(tx: Tx, app_password_id: str, at: int) -> None:
    """Remember that the password was printed; the first time counts."""
    tx.execute(
        update(app_password)
        .where(app_password.c.id == app_password_id, app_password.c.shown_at.is_(None))
        .values(shown_at=at)
    )


def revoke(tx: Tx, account_id: str, at: int, why: RevokedWhy, only: str | None = None) -> tuple[str, ...]:
    """Revoke one app password of the account, or all; gives the ids of those that were not revoked before.

    Expired ones are revoked too: a clock set back must not revive them.
    """
    wanted = update(app_password).where(
        app_password.c.account_id == account_id, app_password.c.revoked_at.is_(None)
    )
    if only is not None:
        wanted = wanted.where(app_password.c.id == only)
    ended = tx.execute(
        wanted.values(revoked_at=at, revoked_why=why.value, version=app_password.c.version + 1).returning(
            app_password.c.id
        )
    )
    return tuple(sorted(row.id for row in ended))


def replace_verifier(tx: Tx, app_password_id: str, old_hash: str, new_hash: str, key_id: str) -> None:
    """Store the same password's hash at today's cost and key, unless it was replaced meanwhile.

    No change of what authorises: it takes no number and no version.
    """
    tx.execute(
        update(app_password)
        .where(app_password.c.id == app_password_id, app_password.c.verifier_hash == old_hash)
        .values(verifier_hash=new_hash, key_id=key_id)
    )
