"""Books: what is held and owed, and what it earned, folded from the tape."""
