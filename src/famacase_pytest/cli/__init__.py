"""The `famacase` command."""
