"""What is in a data set, as figures: gaps, odd values, how unequal users and items are, what the split leaves."""
