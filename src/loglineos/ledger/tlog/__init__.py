"""Transparency logs as C2SP writes them: trees, tiles, notes, receipts, witnesses. Pure bytes."""
