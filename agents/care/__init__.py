"""What keeps an agent well: backups, restoring, and the doctor."""
