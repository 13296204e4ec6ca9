"""What deploy/ asks Prometheus for, read from its files: queries, rules, and the labels that each can have."""
