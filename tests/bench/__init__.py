"""Measurements: what others do on this machine, and what we do."""
