"""m2wsgi.io of version 0.5: one module for each way to wait. `standard` is the one there is."""
