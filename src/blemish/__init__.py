"""Blemish: a DVC pipeline for industrial visual anomaly detection."""

__version__ = "0.1.0"
