"""The contents of a bundle as one value, and the requests that it was judged on."""
