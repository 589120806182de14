"""SpectroFlow: a distributed batch engine for large archives of spectra."""
