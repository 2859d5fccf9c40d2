"""Where the sample inputs and the bundled base models come from, one module for each stage here."""

import stages  # noqa: F401 - a stage runs the library of its own checkout
