"""How well queues and fault rules find what was injected."""
