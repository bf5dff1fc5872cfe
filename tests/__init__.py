"""Tests: a folder for each layer, and what they share."""
