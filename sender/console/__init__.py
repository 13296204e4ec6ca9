"""The console: pages for operators, made of the same JSON values that the calls answer with."""
