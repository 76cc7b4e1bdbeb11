"""Consequences: what a record promised for ok, doubt and not happens, once."""
