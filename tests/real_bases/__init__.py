"""Stand-ins for the real bases, and every stage of both lanes on them: `make test-real-bases`."""
