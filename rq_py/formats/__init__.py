"""How jobs are written and read as text: listings out, submits in. No database, no processes."""
