"""What a spool promises, for every implementation."""
