"""The read API: views of a lake over HTTP, for tokens with scopes."""
