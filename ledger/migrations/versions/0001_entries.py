"""Entries, append-only: the database itself refuses to change, remove or misplace one.

SQLite's `INSERT OR REPLACE` removes the rows in its way without firing delete triggers, so the insert trigger
looks for rows in the way itself. PostgreSQL's triggers fire for the same cases, and for TRUNCATE. They name the
table with its schema, or a temporary table called "entries" would be asked in its place.
Neither stops somebody who owns the database and drops the triggers; verification is for that.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END
    """,
    """
    CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never removed'); END
    """,
    # IS NOT, because NULL (an index that SQLite would choose itself) must not slip through.
    """
    CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
    BEGIN
        SELECT RAISE(ABORT, 'a ledger entry must continue the chain')
        WHERE NEW.idx IS NOT coalesce((SELECT max(idx) FROM entries), -1) + 1
           OR NEW.previous IS NOT coalesce(
                (SELECT hash FROM entries ORDER BY idx DESC LIMIT 1), zeroblob(32));
        SELECT RAISE(ABORT, 'a ledger entry is appended once')
        WHERE EXISTS (SELECT 1 FROM entries WHERE author = NEW.author AND author_seq = NEW.author_seq);
    END
    """,
)

# Class 23 (integrity violation), so that drivers report a lost race alike.
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION entries_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'ledger entries are never changed or removed'
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE FUNCTION entries_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        last record;
    BEGIN
        SELECT idx, hash INTO last FROM {schema}.entries ORDER BY idx DESC LIMIT 1;
        IF NEW.idx IS DISTINCT FROM coalesce(last.idx, -1) + 1
        OR NEW.previous IS DISTINCT FROM coalesce(last.hash, decode(repeat('00', 32), 'hex'))
        THEN
            RAISE EXCEPTION 'a ledger entry must continue the chain'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER entries_frozen BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_frozen()
    """,
    """
    CREATE TRIGGER entries_whole BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_frozen()
    """,
    """
    CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_in_order()
    """,
)


def upgrade() -> None:
    """Create the table of entries and its triggers."""
    op.create_table(
        "entries",
        sa.Column(
            "idx", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("signed", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
        sa.Column("author", sa.String(40), nullable=False),
        sa.Column("author_seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.CheckConstraint("idx >= 0"),
        sa.CheckConstraint("length(previous) = 32"),
        sa.CheckConstraint("length(signature) = 64"),
        sa.CheckConstraint("length(hash) = 32"),
        sa.CheckConstraint("length(receipt) = 64"),
        sa.UniqueConstraint("author", "author_seq"),
    )
    for trigger in _triggers():
        op.execute(trigger)


def _triggers() -> Iterator[str]:
    if op.get_context().dialect.name == "sqlite":
        yield from SQLITE_TRIGGERS
        return
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for trigger in POSTGRESQL_TRIGGERS:
        yield trigger.replace("{schema}", schema)


def downgrade() -> None:
    """Refuse: entries are only ever added."""
    raise RuntimeError("a ledger is never taken apart")
