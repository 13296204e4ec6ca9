"""Find the way: from a domain to the hosts that take its mail."""
