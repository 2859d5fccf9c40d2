"""The image lane: a product catalogue to a LoRA, synthetic product photos and their metrics."""
