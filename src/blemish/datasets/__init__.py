"""One module a published data set or family of sets; each defines `DATA_SETS`."""
