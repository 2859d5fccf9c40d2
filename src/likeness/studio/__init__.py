"""The studio: what is beside the pipeline to start its runs and to follow them."""
