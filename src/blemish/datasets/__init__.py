"""One module a published data set; each defines `DATA_SET`."""
