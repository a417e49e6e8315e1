"""A trained model as ONNX: what runs without torch, and what says why a part of it cannot."""
