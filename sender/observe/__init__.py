"""Show: metrics and events. What is shown is made from values; nothing here decides."""
