"""Tests of likeness.studio."""
