"""Decide: values and pure rules. No asyncio, clock, randomness, logging or I/O: `now` and `rng` are arguments."""
