"""The command line of SpectroFlow."""
