"""The HTTP port: mail that is sent over it, what operators read and do, metrics, health."""
