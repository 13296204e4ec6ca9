"""Write: messages from parts, from templates, and one for each of the many recipients of a batch."""
