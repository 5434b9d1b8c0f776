"""Readers of other frameworks: PyTorch, ONNX, Keras. Each needs its extra only when used."""
