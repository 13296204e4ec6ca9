"""Talk: sessions with receivers. What a server says is a value; only what it does not say is an exception."""
