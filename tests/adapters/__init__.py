"""Adapters: the simulated venue, and the suite that every adapter passes."""
