"""The database: transactions under the queue lock, generations, schema and migrations."""
