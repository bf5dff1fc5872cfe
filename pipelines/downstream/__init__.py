"""Results as messages for other systems."""
