"""Tests of likeness.repository."""
