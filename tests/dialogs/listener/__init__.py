"""Our submission server against clients that behave, and against those that do not."""
