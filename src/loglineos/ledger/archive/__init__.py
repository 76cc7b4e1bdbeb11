"""Whole logs and whole nodes leave and come back: export, import, backup, restore."""
