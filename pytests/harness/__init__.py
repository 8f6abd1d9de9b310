"""What the live tests share: which server to start, how to start and stop it, and clients that trust nothing."""
