"""Formats of others: NEM12, Green Button (ESPI), CSV and Parquet, read into blocks, written from days."""
