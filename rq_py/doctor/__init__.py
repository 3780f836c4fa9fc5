"""``rqpy doctor``: finds out whether a directory can be trusted with a queue. Changes nothing that lasts."""
