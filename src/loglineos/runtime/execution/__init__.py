"""Executions: runs of the house's code that survive, wait for people, and can be replayed."""
