"""The product's own controller against model receivers, in simulated time."""
