"""The `blemish` command: one module a verb."""
