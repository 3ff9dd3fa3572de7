"""The two 1x1 convolutions of a block with GELU between them, on CUDA."""
