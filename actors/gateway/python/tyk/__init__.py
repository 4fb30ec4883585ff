"""What hooks import."""
