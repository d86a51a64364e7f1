"""Bad networks: servers that answer wrongly, and what becomes of the loop behind them."""
