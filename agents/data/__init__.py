"""The rows that a party holds: files, queries, and what the ledger knows of them."""
