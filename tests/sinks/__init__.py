"""The second copy of the log, on both databases, with real files, sockets and processes."""
