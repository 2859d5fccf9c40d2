"""The voice lane: raw recordings to a speech dataset, a LoRA, synthetic speech and its metrics."""
