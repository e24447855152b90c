"""Measures over scores, maps and masks: pure functions on arrays."""
