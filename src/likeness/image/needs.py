"""What the image lane's stages need of the dataset."""

from likeness.common.needs import Need

LEAST = 2  # images of a set that can be compared with others: one has no spread
NEEDS = (
    Need("image_train", "train", LEAST),
    Need("image_train", "val", 1),
    Need("image_evaluate", "test", LEAST),
)
ADVICE = "use more photos, or other shares (image_prepare.train_share and val_share)"
