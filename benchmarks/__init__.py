"""Benchmarks: the figures that the project promises, measured beside its peers."""
