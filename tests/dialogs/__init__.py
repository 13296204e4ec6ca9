"""Protocol transcripts: our client and our server against peers that say exactly what a test wants."""
