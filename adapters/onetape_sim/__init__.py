"""The simulated venue. It has no door yet: venues arrive with live trading."""
