"""What is allowed, and what is at stake: pure functions and folds, no engine."""
