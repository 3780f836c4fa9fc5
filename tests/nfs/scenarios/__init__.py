"""One scenario a file: what the nodes do, which fault hits them, and what must hold afterwards."""
