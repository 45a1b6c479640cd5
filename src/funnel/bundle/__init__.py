"""What an answer needs, as one value, and the requests that it was judged on."""
