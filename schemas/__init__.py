"""What data is: record schemas, channel catalogue, quality codes, settings, rule packs and tariffs."""
