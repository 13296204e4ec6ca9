"""Decide: values and pure rules. No asyncio, no clock, no randomness, no logging, no I/O: `now` and `rng` are arguments."""
