"""Tests of likeness.common."""
