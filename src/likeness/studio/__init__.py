"""The studio: an HTTP service that speaks, draws and shows what was made, and a queue of runs."""
