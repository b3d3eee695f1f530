"""Example strategies, found by `onetape backtest --strategy NAME` through entry points."""
