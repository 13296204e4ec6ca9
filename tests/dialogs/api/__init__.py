"""The HTTP calls, as any client may make them."""
