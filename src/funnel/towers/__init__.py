"""Who is close: two towers that put requests and items into one space, read by ONNX Runtime."""
