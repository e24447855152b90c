"""Scoring a unit, its numbers under each protocol, and the pictures that explain them."""
