"""What a user's own folder may look like: its words, its shapes, and what belongs together."""
