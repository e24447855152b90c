"""Restructuring a unit: split, masks, foregrounds, zones, twins, manifest."""
