"""Makes the sample inputs and the bundled base models; each stage of models/dvc.yaml is a module."""

import stages  # noqa: F401 - makes a stage import the library of its own checkout
