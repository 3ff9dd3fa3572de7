"""The page Sizes: every size of ResNet and ConvNeXt."""
