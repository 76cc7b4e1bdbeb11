"""The logs of a node: signed, guarded, entered into the root log, witnessed, proved."""
