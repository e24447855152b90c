"""Restructuring a unit: split, masks, foregrounds, twins, manifest."""
