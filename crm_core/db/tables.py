"""The schema, the same on SQLite and PostgreSQL.

Times are UTC. Text from outside is stored through `StoredText`, which takes out what a database
refuses. A change here needs a revision in `migrations/`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from crm_core.text import storable, storable_json, storable_key


class StoredText(TypeDecorator[str]):
    """Text that every database takes. Compared byte by byte, so order is the same everywhere."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Text; on PostgreSQL with the collation "C", whatever the database was made with."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Text(collation="C"))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Take out NUL and lone surrogates."""
        return None if value is None else storable(value)


class KeyText(StoredText):
    """Text in an index: cut when it is absurdly long (see `storable_key`)."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Take out what cannot be stored, and shorten."""
        return None if value is None else storable_key(value)


class UtcTime(TypeDecorator[datetime]):
    """A point in time: aware when it goes in, UTC when it comes out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn into UTC; SQLite stores text, so there the zone is left out."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give it the zone again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class StoredJson(TypeDecorator[Any]):
    """JSON with text that every database takes."""

    impl = JSON().with_variant(JSONB(), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Take out NUL and lone surrogates, in keys too."""
        return storable_json(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column of exactly this type.
_Id = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, StoredText, nullable=False, server_default="")


account = Table(
    "account",
    metadata,
    _id(),
    _text("name"),
    # Two spellings that differ in case or spaces are one account.
    Column("name_key", KeyText, nullable=False, unique=True),
    _text("search"),
    _text("external_id"),
    _text("tier"),
    Index("ix_account_search_id", "search", "id"),
)

app_user = Table(
    "app_user",
    metadata,
    _id(),
    Column("login", KeyText, nullable=False, unique=True),
    _text("name"),
    _text("role"),
    _text("team"),
    _text("language"),
    _text("email"),
    Column("active", Boolean, nullable=False),
    Column("password_hash", StoredText),
)

user_phone = Table(
    "user_phone",
    metadata,
    Column("pbx", StoredText, nullable=False),
    Column("name", StoredText, nullable=False),
    Column("user_id", ForeignKey("app_user.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("pbx", "name"),
)

sign_in_session = Table(
    "sign_in_session",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column("user_id", ForeignKey("app_user.id"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column("user_id", ForeignKey("app_user.id"), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

contact = Table(
    "contact",
    metadata,
    _id(),
    _text("name"),
    _text("search"),
    Column("external_id", KeyText, unique=True),
    _text("kind"),
    _text("tier"),
    Column("tags", StoredJson, nullable=False),
    _text("notes"),
    Column("account_id", ForeignKey("account.id"), index=True),
    Column("owner_id", ForeignKey("app_user.id"), index=True),
    Index("ix_contact_search_id", "search", "id"),
)

contact_point = Table(
    "contact_point",
    metadata,
    _id(),
    Column("contact_id", ForeignKey("contact.id"), nullable=False),
    _text("kind"),
    Column("value", KeyText, nullable=False),
    _text("label"),
    Column("shared", Boolean, nullable=False),
    Column("valid_from", UtcTime),
    Column("valid_to", UtcTime),
    UniqueConstraint("contact_id", "kind", "value"),
    # The question of every call: who has this number? Answered from this index and the contact.
    Index("ix_contact_point_value_kind", "value", "kind"),
)

# The history outlives what it speaks of: neither contact nor agent is a foreign key, so that
# nothing that happens to them can keep a touch from being written.
touch = Table(
    "touch",
    metadata,
    _id(),
    Column("key", KeyText, nullable=False, unique=True),
    _text("medium"),
    _text("direction"),
    _text("outcome"),
    Column("at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    _text("party_kind"),
    Column("party_address", KeyText, nullable=False),
    Column("party", StoredJson, nullable=False),
    Column("match", StoredJson, nullable=False),
    Column("contact_id", _Id),
    Column("agent_id", _Id),
    _text("agent_name"),
    _text("team"),
    _text("subject"),
    Column("ring_s", Float),
    Column("wait_s", Float),
    Column("talk_s", Float),
    Column("hold_s", Float),
    Column("details", StoredJson, nullable=False),
    Index("ix_touch_at_id", "at", "id"),
    # With what lists leave out, so that the newest are found without a look at the rows.
    Index("ix_touch_contact_id_at_id", "contact_id", "at", "id", "outcome", "medium"),
    Index("ix_touch_agent_id_at_id", "agent_id", "at", "id", "outcome", "medium"),
    Index("ix_touch_team_at_id", "team", "at", "id", "outcome", "medium"),
    Index("ix_touch_medium_at_id", "medium", "at", "id", "outcome"),
    # A number that is given to a contact later re-links the touches of before.
    Index("ix_touch_party_address_at", "party_address", "at"),
    Index(
        "ix_touch_unfinished",
        "key",
        sqlite_where=text("outcome = 'in_progress'"),
        postgresql_where=text("outcome = 'in_progress'"),
    ),
)

mail_folder = Table(
    "mail_folder",
    metadata,
    _id(),
    Column("mailbox", StoredText, nullable=False),
    Column("raw_name", LargeBinary, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    # Counts the values of UIDVALIDITY; rows of former epochs stay.
    Column("epoch", Integer, nullable=False),
    Column("last_uid", BigInteger, nullable=False),
    # Mails that came before the first look at the folder are none of ours.
    Column("since", UtcTime),
    UniqueConstraint("mailbox", "raw_name"),
)

mail_pending = Table(
    "mail_pending",
    metadata,
    Column("folder_id", ForeignKey("mail_folder.id"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcTime, nullable=False),
    _text("last_error"),
    _text("kind"),
    # Why it was taken off the list without a mail; NULL while it is waiting.
    Column("gone_reason", StoredText),
    PrimaryKeyConstraint("folder_id", "epoch", "uid"),
    # What came live is found at once behind ever so many old mails.
    Index("ix_mail_pending_folder_id_epoch_kind_uid", "folder_id", "epoch", "kind", "uid"),
)

mail_raw = Table(
    "mail_raw",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

email = Table(
    "email",
    metadata,
    _id(),
    Column("content_key", KeyText, nullable=False, unique=True),
    _text("direction"),
    # A hint, never a key: mails without one exist, and different mails with the same.
    Column("message_id", KeyText, nullable=False, index=True),
    Column("raw_sha256", ForeignKey("mail_raw.sha256"), nullable=False),
    _text("parse_state"),
    _text("subject"),
    Column("sender", KeyText, nullable=False, index=True),
    _text("sender_name"),
    Column("recipients", StoredJson, nullable=False),
    Column("sent_at", UtcTime),
    Column("received_at", UtcTime),
    _text("in_reply_to"),
    Column("references", StoredJson, nullable=False),
    _text("text"),
    Column("flags", StoredJson, nullable=False),
)

mail_location = Table(
    "mail_location",
    metadata,
    Column("folder_id", ForeignKey("mail_folder.id"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("email_id", ForeignKey("email.id"), nullable=False, index=True),
    Column("raw_sha256", ForeignKey("mail_raw.sha256"), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("internal_date", UtcTime),
    # When the server no longer had it there.
    Column("gone_at", UtcTime),
    PrimaryKeyConstraint("folder_id", "epoch", "uid"),
)

# One mail, many mailboxes: a mail to sales@ and support@ is one mail and two deliveries.
email_delivery = Table(
    "email_delivery",
    metadata,
    Column("email_id", ForeignKey("email.id"), nullable=False),
    Column("mailbox", StoredText, nullable=False),
    PrimaryKeyConstraint("email_id", "mailbox"),
)
