"""The log of the log."""
