"""Checkpoints, evidence, and entries that another keeper's have replaced: as append-only as the entries.

An entry may leave its table from now on, but only the last one, and only if `superseded` holds it as it was.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEYS = {
    "checkpoints": ("digest",),
    "checkpoint_signatures": ("checkpoint", "name", "key_id"),
    "superseded": ("number",),
    "evidence": ("number",),
}
ENTRY = ("idx", "previous", "signed", "signature", "hash", "receipt", "author", "author_seq", "kind", "nodes")
SAME = " AND ".join(f"copy.{column} = OLD.{column}" for column in ENTRY)

# As with the entries, SQLite's `INSERT OR REPLACE` removes rows without firing delete triggers.
SQLITE_FROZEN: tuple[str, ...] = (
    """
    CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END
    """,
    """
    CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
    BEGIN SELECT RAISE(ABORT, 'rows of {table} are never removed'); END
    """,
    """
    CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
    BEGIN
        SELECT RAISE(ABORT, 'rows of {table} are never replaced')
        WHERE EXISTS (SELECT 1 FROM {table} WHERE {same});
    END
    """,
)
SQLITE_ENTRIES: tuple[str, ...] = (
    "DROP TRIGGER IF EXISTS entries_no_delete",
    f"""
    CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN
        SELECT RAISE(ABORT, 'ledger entries are never removed')
        WHERE OLD.idx IS NOT (SELECT max(idx) FROM entries)
           OR NOT EXISTS (SELECT 1 FROM superseded AS copy WHERE {SAME});
    END
    """,
)

POSTGRESQL_FROZEN = (
    """
    CREATE TRIGGER {table}_frozen BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION rows_frozen()
    """,
    """
    CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION rows_frozen()
    """,
)
POSTGRESQL_FUNCTION = """
    CREATE FUNCTION rows_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """
POSTGRESQL_ENTRIES = (
    "DROP TRIGGER IF EXISTS entries_frozen ON entries",
    """
    CREATE TRIGGER entries_frozen BEFORE UPDATE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_frozen()
    """,
    f"""
    CREATE FUNCTION entries_set_aside() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.idx IS DISTINCT FROM (SELECT max(idx) FROM {{schema}}.entries)
        OR NOT EXISTS (SELECT 1 FROM {{schema}}.superseded AS copy WHERE {SAME})
        THEN
            RAISE EXCEPTION 'ledger entries are never changed or removed'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END $$
    """,
    """
    CREATE TRIGGER entries_set_aside BEFORE DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_set_aside()
    """,
)


def upgrade() -> None:
    """Create the tables and their triggers; let entries be set aside."""
    _create_tables()
    for statement in _triggers():
        op.execute(statement)


def _create_tables() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.CheckConstraint("length(digest) = 32"),
    )
    op.create_index("checkpoints_by_size", "checkpoints", ["size", "epoch"])
    op.create_table(
        "checkpoint_signatures",
        sa.Column("checkpoint", sa.LargeBinary, sa.ForeignKey("checkpoints.digest"), primary_key=True),
        sa.Column("name", sa.String(160), primary_key=True),
        sa.Column("key_id", sa.LargeBinary, primary_key=True),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(key_id) = 4"),
    )
    op.create_table(
        "superseded",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("idx", NUMBER, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("signed", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
        sa.Column("author", sa.String(40), nullable=False),
        sa.Column("author_seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("nodes", sa.LargeBinary, nullable=False),
    )
    op.create_index("superseded_by_idx", "superseded", ["idx"])
    op.create_table(
        "evidence",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(digest) = 32"),
    )


def _triggers() -> Iterator[str]:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        frozen, entries, schema = SQLITE_FROZEN, SQLITE_ENTRIES, ""
    else:
        frozen, entries = POSTGRESQL_FROZEN, POSTGRESQL_ENTRIES
        schema = connection.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
        yield POSTGRESQL_FUNCTION
    for table, key in KEYS.items():
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        for statement in frozen:
            yield statement.format(table=table, same=same)
    for statement in entries:
        yield statement.replace("{schema}", schema)


def downgrade() -> None:
    """Refuse: rows are only ever added."""
    raise RuntimeError("a ledger is never taken apart")
