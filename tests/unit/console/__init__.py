"""Tests of the console's pages and pictures."""
