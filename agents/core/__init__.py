"""The agent itself: what arrives, what follows, and what is journalled before anybody hears of it."""
