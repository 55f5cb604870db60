"""The audit log: entry bytes, the Merkle tree over them, signed checkpoints, export and verification."""
