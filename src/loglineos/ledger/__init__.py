"""The append-only, signed, provable ledger."""
