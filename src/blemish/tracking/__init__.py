"""MLflow: what the outputs of the stages hold, as one run for each result."""
