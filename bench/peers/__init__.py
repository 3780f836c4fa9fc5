"""What rq_py is compared with: one file for each program, and rq_py itself."""
