"""Who is paid what for a job, as a person proposes, approves and settles it, and what all payouts came to."""
