"""The log of the log's own life (PCI DSS 10.2.1.6, 10.6.3, 10.7): `process` says which processes write it, from when
to when, and which of them died; `changes` which settings they started with; `clock` whether the time can be trusted.

That the log could not be written is noticed where it happens, in `storage.watch`, and told by the journal.
"""
