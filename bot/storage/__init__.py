"""Where things are kept: `engine` (connections), `schema` (tables), and one module for each noun.

Only `audit.journal` opens a write transaction; the nouns' `save` functions take one, so that no state can change
without the log being at hand. Reading takes a plain connection from `Database.read`.
"""
