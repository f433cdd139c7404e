"""What is true of any module and of what it takes and returns: modes, copies, batches."""
