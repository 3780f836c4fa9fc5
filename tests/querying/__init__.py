"""Query, execute and configure: what users may ask and change, and what they may not."""
