"""The sandbox keeps its word: every reply follows from the behaviour and from what was sent."""
