"""Readings, told slot by slot."""
