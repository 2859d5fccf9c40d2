"""Tests of likeness.voice."""
