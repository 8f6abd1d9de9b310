"""Makes a dotted path of three steps."""
