"""The HTTP port: what operators read and do, metrics, health."""
