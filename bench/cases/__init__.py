"""What is measured: one file for each subject, each with one case or a few."""
