"""Metrics of anomaly maps and image scores: streaming, exact to 10⁻⁴, tie-aware."""
