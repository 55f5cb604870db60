"""Where signed checkpoints also go, out of reach of the database's owner: a file, a URL, a mailbox, a time stamp."""
