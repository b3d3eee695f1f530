"""How a strategy meets a market."""
