"""Likeness: teach a generator one voice and one look, and prove it."""
