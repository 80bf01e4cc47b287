"""What does a ledger look like in SQL? Its tables, in the types that SQLite and PostgreSQL share.

This is the newest form; how a database gets there stands in `migrations`. `author`, `author_seq` and `kind`
repeat what is inside `signed`, for queries; verification compares them with it. `nodes` holds the hashes of the
Merkle tree's subtrees that this entry completes, one after another from level 1 up (`tree`).

There is one row per index, and `previous` is the hash of the row before: that is what keeps the chain from
forking. Unique indices on `previous` and `hash` would add nothing but random pages to every commit, 32 of them
to a commit of 32 entries.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

ENTRIES = Table(
    "entries",
    METADATA,
    # SQLite needs the word INTEGER for a primary key that is the row's own address.
    Column("idx", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("previous", LargeBinary, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("author", String(40), nullable=False),
    Column("author_seq", BigInteger, nullable=False),
    Column("kind", String(60), nullable=False),
    Column("nodes", LargeBinary, nullable=False),
    UniqueConstraint("author", "author_seq"),
)

# What lies beside the entries (`beside`). A checkpoint is known by the SHA-256 of its text.
CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Index("checkpoints_by_size", "size", "epoch"),
)
CHECKPOINT_SIGNATURES = Table(
    "checkpoint_signatures",
    METADATA,
    Column("checkpoint", LargeBinary, ForeignKey("checkpoints.digest"), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("key_id", LargeBinary, primary_key=True),
    Column("signature", LargeBinary, nullable=False),
)
SUPERSEDED = Table(
    "superseded",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    *(Column(column.name, column.type, nullable=False) for column in ENTRIES.columns),
    Index("superseded_by_idx", "idx"),
)
EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("content", LargeBinary, nullable=False),
)
