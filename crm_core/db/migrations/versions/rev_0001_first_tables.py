"""Customers, touches, users and mails."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)

from crm_core.db.tables import StoredJson, StoredText, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "account",
        Column("id", _ID, nullable=False),
        Column("name", StoredText(), server_default="", nullable=False),
        Column("name_key", StoredText(), nullable=False),
        Column("search", StoredText(), server_default="", nullable=False),
        Column("external_id", StoredText(), server_default="", nullable=False),
        Column("tier", StoredText(), server_default="", nullable=False),
        PrimaryKeyConstraint("id", name="pk_account"),
        UniqueConstraint("name_key", name="uq_account_name_key"),
    )
    op.create_index("ix_account_search_id", "account", ["search", "id"])

    op.create_table(
        "app_user",
        Column("id", _ID, nullable=False),
        Column("login", StoredText(), nullable=False),
        Column("name", StoredText(), server_default="", nullable=False),
        Column("role", StoredText(), server_default="", nullable=False),
        Column("team", StoredText(), server_default="", nullable=False),
        Column("language", StoredText(), server_default="", nullable=False),
        Column("email", StoredText(), server_default="", nullable=False),
        Column("active", Boolean(), nullable=False),
        Column("password_hash", StoredText(), nullable=True),
        PrimaryKeyConstraint("id", name="pk_app_user"),
        UniqueConstraint("login", name="uq_app_user_login"),
    )
    op.create_table(
        "mail_folder",
        Column("id", _ID, nullable=False),
        Column("mailbox", StoredText(), nullable=False),
        Column("raw_name", LargeBinary(), nullable=False),
        Column("uidvalidity", BigInteger(), nullable=False),
        Column("epoch", Integer(), nullable=False),
        Column("last_uid", BigInteger(), nullable=False),
        Column("since", UtcTime(), nullable=True),
        PrimaryKeyConstraint("id", name="pk_mail_folder"),
        UniqueConstraint("mailbox", "raw_name", name="uq_mail_folder_mailbox_raw_name"),
    )
    op.create_table(
        "mail_raw",
        Column("sha256", LargeBinary(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("content", LargeBinary(), nullable=False),
        PrimaryKeyConstraint("sha256", name="pk_mail_raw"),
    )
    op.create_table(
        "touch",
        Column("id", _ID, nullable=False),
        Column("key", StoredText(), nullable=False),
        Column("medium", StoredText(), server_default="", nullable=False),
        Column("direction", StoredText(), server_default="", nullable=False),
        Column("outcome", StoredText(), server_default="", nullable=False),
        Column("at", UtcTime(), nullable=False),
        Column("ended_at", UtcTime(), nullable=True),
        Column("party_kind", StoredText(), server_default="", nullable=False),
        Column("party_address", StoredText(), nullable=False),
        Column("party", StoredJson(), nullable=False),
        Column("match", StoredJson(), nullable=False),
        Column("contact_id", _ID, nullable=True),
        Column("agent_id", _ID, nullable=True),
        Column("agent_name", StoredText(), server_default="", nullable=False),
        Column("team", StoredText(), server_default="", nullable=False),
        Column("subject", StoredText(), server_default="", nullable=False),
        Column("ring_s", Float(), nullable=True),
        Column("wait_s", Float(), nullable=True),
        Column("talk_s", Float(), nullable=True),
        Column("hold_s", Float(), nullable=True),
        Column("details", StoredJson(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_touch"),
        UniqueConstraint("key", name="uq_touch_key"),
    )
    op.create_index(
        "ix_touch_agent_id_at_id", "touch", ["agent_id", "at", "id", "outcome", "medium"]
    )
    op.create_index("ix_touch_at_id", "touch", ["at", "id"])
    op.create_index(
        "ix_touch_contact_id_at_id", "touch", ["contact_id", "at", "id", "outcome", "medium"]
    )
    op.create_index("ix_touch_medium_at_id", "touch", ["medium", "at", "id", "outcome"])
    op.create_index("ix_touch_party_address_at", "touch", ["party_address", "at"])
    op.create_index("ix_touch_team_at_id", "touch", ["team", "at", "id", "outcome", "medium"])
    op.create_index(
        "ix_touch_unfinished",
        "touch",
        ["key"],
        sqlite_where=text("outcome = 'in_progress'"),
        postgresql_where=text("outcome = 'in_progress'"),
    )

    op.create_table(
        "contact",
        Column("id", _ID, nullable=False),
        Column("name", StoredText(), server_default="", nullable=False),
        Column("search", StoredText(), server_default="", nullable=False),
        Column("external_id", StoredText(), nullable=True),
        Column("kind", StoredText(), server_default="", nullable=False),
        Column("tier", StoredText(), server_default="", nullable=False),
        Column("tags", StoredJson(), nullable=False),
        Column("notes", StoredText(), server_default="", nullable=False),
        Column("account_id", _ID, nullable=True),
        Column("owner_id", _ID, nullable=True),
        ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_contact_account_id"),
        ForeignKeyConstraint(["owner_id"], ["app_user.id"], name="fk_contact_owner_id"),
        PrimaryKeyConstraint("id", name="pk_contact"),
        UniqueConstraint("external_id", name="uq_contact_external_id"),
    )
    op.create_index("ix_contact_account_id", "contact", ["account_id"])
    op.create_index("ix_contact_owner_id", "contact", ["owner_id"])
    op.create_index("ix_contact_search_id", "contact", ["search", "id"])

    op.create_table(
        "email",
        Column("id", _ID, nullable=False),
        Column("content_key", StoredText(), nullable=False),
        Column("direction", StoredText(), server_default="", nullable=False),
        Column("message_id", StoredText(), nullable=False),
        Column("raw_sha256", LargeBinary(), nullable=False),
        Column("parse_state", StoredText(), server_default="", nullable=False),
        Column("subject", StoredText(), server_default="", nullable=False),
        Column("sender", StoredText(), nullable=False),
        Column("sender_name", StoredText(), server_default="", nullable=False),
        Column("recipients", StoredJson(), nullable=False),
        Column("sent_at", UtcTime(), nullable=True),
        Column("received_at", UtcTime(), nullable=True),
        Column("in_reply_to", StoredText(), server_default="", nullable=False),
        Column("references", StoredJson(), nullable=False),
        Column("text", StoredText(), server_default="", nullable=False),
        Column("flags", StoredJson(), nullable=False),
        ForeignKeyConstraint(["raw_sha256"], ["mail_raw.sha256"], name="fk_email_raw_sha256"),
        PrimaryKeyConstraint("id", name="pk_email"),
        UniqueConstraint("content_key", name="uq_email_content_key"),
    )
    op.create_index("ix_email_message_id", "email", ["message_id"])
    op.create_index("ix_email_sender", "email", ["sender"])

    op.create_table(
        "mail_pending",
        Column("folder_id", _ID, nullable=False),
        Column("epoch", Integer(), nullable=False),
        Column("uid", BigInteger(), nullable=False),
        Column("attempts", Integer(), nullable=False),
        Column("next_try_at", UtcTime(), nullable=False),
        Column("last_error", StoredText(), server_default="", nullable=False),
        Column("kind", StoredText(), server_default="", nullable=False),
        Column("gone_reason", StoredText(), nullable=True),
        ForeignKeyConstraint(["folder_id"], ["mail_folder.id"], name="fk_mail_pending_folder_id"),
        PrimaryKeyConstraint("folder_id", "epoch", "uid", name="pk_mail_pending"),
    )
    op.create_index(
        "ix_mail_pending_folder_id_epoch_kind_uid",
        "mail_pending",
        ["folder_id", "epoch", "kind", "uid"],
    )
    op.create_table(
        "sign_in_link",
        Column("token_sha256", LargeBinary(), nullable=False),
        Column("user_id", _ID, nullable=False),
        Column("expires_at", UtcTime(), nullable=False),
        ForeignKeyConstraint(["user_id"], ["app_user.id"], name="fk_sign_in_link_user_id"),
        PrimaryKeyConstraint("token_sha256", name="pk_sign_in_link"),
    )
    op.create_table(
        "sign_in_session",
        Column("token_sha256", LargeBinary(), nullable=False),
        Column("user_id", _ID, nullable=False),
        Column("created_at", UtcTime(), nullable=False),
        Column("last_seen_at", UtcTime(), nullable=False),
        Column("expires_at", UtcTime(), nullable=False),
        ForeignKeyConstraint(["user_id"], ["app_user.id"], name="fk_sign_in_session_user_id"),
        PrimaryKeyConstraint("token_sha256", name="pk_sign_in_session"),
    )
    op.create_index("ix_sign_in_session_user_id", "sign_in_session", ["user_id"])

    op.create_table(
        "user_phone",
        Column("pbx", StoredText(), nullable=False),
        Column("name", StoredText(), nullable=False),
        Column("user_id", _ID, nullable=False),
        Column("position", Integer(), nullable=False),
        ForeignKeyConstraint(["user_id"], ["app_user.id"], name="fk_user_phone_user_id"),
        PrimaryKeyConstraint("pbx", "name", name="pk_user_phone"),
    )
    op.create_index("ix_user_phone_user_id", "user_phone", ["user_id"])

    op.create_table(
        "contact_point",
        Column("id", _ID, nullable=False),
        Column("contact_id", _ID, nullable=False),
        Column("kind", StoredText(), server_default="", nullable=False),
        Column("value", StoredText(), nullable=False),
        Column("label", StoredText(), server_default="", nullable=False),
        Column("shared", Boolean(), nullable=False),
        Column("valid_from", UtcTime(), nullable=True),
        Column("valid_to", UtcTime(), nullable=True),
        ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_contact_point_contact_id"),
        PrimaryKeyConstraint("id", name="pk_contact_point"),
        UniqueConstraint(
            "contact_id", "kind", "value", name="uq_contact_point_contact_id_kind_value"
        ),
    )
    op.create_index("ix_contact_point_value_kind", "contact_point", ["value", "kind"])

    op.create_table(
        "email_delivery",
        Column("email_id", _ID, nullable=False),
        Column("mailbox", StoredText(), nullable=False),
        ForeignKeyConstraint(["email_id"], ["email.id"], name="fk_email_delivery_email_id"),
        PrimaryKeyConstraint("email_id", "mailbox", name="pk_email_delivery"),
    )
    op.create_table(
        "mail_location",
        Column("folder_id", _ID, nullable=False),
        Column("epoch", Integer(), nullable=False),
        Column("uid", BigInteger(), nullable=False),
        Column("email_id", _ID, nullable=False),
        Column("raw_sha256", LargeBinary(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("internal_date", UtcTime(), nullable=True),
        Column("gone_at", UtcTime(), nullable=True),
        ForeignKeyConstraint(["email_id"], ["email.id"], name="fk_mail_location_email_id"),
        ForeignKeyConstraint(["folder_id"], ["mail_folder.id"], name="fk_mail_location_folder_id"),
        ForeignKeyConstraint(
            ["raw_sha256"], ["mail_raw.sha256"], name="fk_mail_location_raw_sha256"
        ),
        PrimaryKeyConstraint("folder_id", "epoch", "uid", name="pk_mail_location"),
    )
    op.create_index("ix_mail_location_email_id", "mail_location", ["email_id"])
    op.create_index("ix_mail_location_raw_sha256", "mail_location", ["raw_sha256"])


def downgrade() -> None:
    """Take it back."""
    for table in (
        "mail_location",
        "email_delivery",
        "contact_point",
        "user_phone",
        "sign_in_session",
        "sign_in_link",
        "mail_pending",
        "email",
        "contact",
        "touch",
        "mail_raw",
        "mail_folder",
        "app_user",
        "account",
    ):
        op.drop_table(table)
