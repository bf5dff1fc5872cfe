"""Tariffs and bills: read, drawn, priced, compared, imported, explained."""
