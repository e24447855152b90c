"""Kinds that no mix of training defects may name."""
