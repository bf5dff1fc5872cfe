"""Simulated towns as Avro input."""
