"""Tests of likeness.image."""
