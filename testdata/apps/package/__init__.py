"""A package whose parts are apps."""
