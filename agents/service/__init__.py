"""The agent as a service: the daemon, its orders, how it is watched, and its way to the broker."""
