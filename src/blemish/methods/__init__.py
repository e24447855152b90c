"""Methods: one folder each, registered in `registry`; `base` is their contract."""
