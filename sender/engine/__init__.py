"""Move: from what is due, over lanes and sessions, to outcomes that are remembered."""
