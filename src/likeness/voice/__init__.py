"""The voice lane: from recordings to a tuned voice and its metrics."""
