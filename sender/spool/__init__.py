"""Remember: what was accepted, what became of it, and what the lanes have learned."""
