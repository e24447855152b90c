"""Networks and shared blocks."""
