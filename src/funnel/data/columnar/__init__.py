"""Long tables in little memory: columns of numbers, ids as codes, read and checked batch by batch."""
