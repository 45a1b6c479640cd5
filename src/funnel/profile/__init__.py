"""What is in a data set, as figures: gaps, odd values, how unequal users and items are, the split."""
