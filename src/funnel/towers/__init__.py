"""Two towers that map requests and items into one vector space, run by ONNX Runtime."""
