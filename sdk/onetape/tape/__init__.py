"""What happened, in which order, because of what."""
