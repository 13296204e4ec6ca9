"""An outbound SMTP delivery daemon that finds out by itself how fast each receiver takes mail."""

__version__ = "0.1.0"
