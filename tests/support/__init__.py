"""What the tests stand on: a real PostgreSQL, a real browser, and how to get them."""
