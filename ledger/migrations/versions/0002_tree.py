"""The Merkle tree, in a column of the entries: `nodes`, as `ledger.tree` says.

Ledgers that are there get it filled in. The triggers that forbid to change an entry stand aside meanwhile, within
the transaction: whoever is killed here leaves the ledger as it was.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from hansa.ledger.errors import StoreCorrupt
from hansa.ledger.merkle import HASH_BYTES, Frontier, leaf_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH_ENTRIES = 1000

# An entry completes as many subtrees as its index ends in ones: ~idx & (idx + 1) is 2 to that power.
SQLITE_BEFORE: tuple[str, ...] = (
    "DROP TRIGGER IF EXISTS entries_no_update",
    "DROP TRIGGER IF EXISTS entries_in_order",
    "ALTER TABLE entries ADD COLUMN nodes BLOB NOT NULL DEFAULT x''",  # SQLite asks for a default, and keeps it
)
SQLITE_AFTER: tuple[str, ...] = (
    """
    CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END
    """,
    """
    CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
    BEGIN
        SELECT RAISE(ABORT, 'a ledger entry must continue the chain')
        WHERE NEW.idx IS NOT coalesce((SELECT max(idx) FROM entries), -1) + 1
           OR NEW.previous IS NOT coalesce(
                (SELECT hash FROM entries ORDER BY idx DESC LIMIT 1), zeroblob(32));
        SELECT RAISE(ABORT, 'a ledger entry is appended once')
        WHERE EXISTS (SELECT 1 FROM entries WHERE author = NEW.author AND author_seq = NEW.author_seq);
        SELECT RAISE(ABORT, 'a ledger entry must continue the tree')
        WHERE typeof(NEW.nodes) IS NOT 'blob'
           OR length(NEW.nodes) % 32
           OR 1 << (length(NEW.nodes) / 32) IS NOT ~NEW.idx & (NEW.idx + 1);
    END
    """,
)

POSTGRESQL_BEFORE = (
    "DROP TRIGGER IF EXISTS entries_frozen ON entries",
    "ALTER TABLE entries ADD COLUMN nodes bytea NOT NULL DEFAULT ''",
)
POSTGRESQL_AFTER = (
    "ALTER TABLE entries ALTER COLUMN nodes DROP DEFAULT",
    """
    CREATE TRIGGER entries_frozen BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_frozen()
    """,
    """
    CREATE OR REPLACE FUNCTION entries_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
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
        IF length(NEW.nodes) % 32 IS DISTINCT FROM 0
        OR 1::bigint << (length(NEW.nodes) / 32) IS DISTINCT FROM ~NEW.idx & (NEW.idx + 1)
        THEN
            RAISE EXCEPTION 'a ledger entry must continue the tree'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
)

_ROWS = sa.text("SELECT idx, hash FROM entries WHERE idx >= :start ORDER BY idx LIMIT :batch")
_FILL = sa.text("UPDATE entries SET nodes = :nodes WHERE idx = :idx")


def upgrade() -> None:
    """Add the column, and fill it in."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        before, after, schema = SQLITE_BEFORE, SQLITE_AFTER, ""
    else:
        before, after = POSTGRESQL_BEFORE, POSTGRESQL_AFTER
        schema = connection.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for statement in before:
        op.execute(statement)
    for filled in _filled(connection):
        connection.execute(_FILL, filled)
    for statement in after:
        op.execute(statement.replace("{schema}", schema))


def _filled(connection: sa.Connection) -> Iterator[list[dict[str, object]]]:
    """Yield the cells that are not empty, so many rows at once."""
    frontier = Frontier()
    while rows := connection.execute(_ROWS, {"start": frontier.size, "batch": BATCH_ENTRIES}).all():
        cells: list[dict[str, object]] = []
        for index, digest in rows:
            if index != frontier.size:
                raise StoreCorrupt(f"entry {frontier.size} is missing: the next one is {index!r:.80}")
            if not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
                raise StoreCorrupt(
                    f"entry {index}: column hash: expected {HASH_BYTES} bytes, found {digest!r:.80}"
                )
            frontier, completed = frontier.append(leaf_hash(digest))
            if completed:
                cells.append({"idx": index, "nodes": b"".join(completed)})
        if cells:
            yield cells


def downgrade() -> None:
    """Refuse: entries are only ever added."""
    raise RuntimeError("a ledger is never taken apart")
