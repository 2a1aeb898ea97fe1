"""What learners leave behind."""
