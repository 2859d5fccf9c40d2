"""How many rows of each split the voice lane's stages need."""

from likeness.common.needs import Need

NEEDS = (
    Need("voice_train", "train", 2),  # a row is conditioned on another
    Need("voice_train", "val", 1),
    Need("voice_evaluate", "test", 2),  # a recording is compared with the others
)
ADVICE = (
    "use more recordings, a smaller voice_dataset.block_seconds, or other shares in voice_dataset"
)
