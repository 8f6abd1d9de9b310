"""Documents that people upload, describe and fetch."""
