"""Telemetry: what a process and its database do, for those who watch from outside.

Always holds: nothing is measured that nobody asked for; names, codes, counts and times leave, never
what a record says.
"""
