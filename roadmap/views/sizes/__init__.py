"""The Sizes page: every size of ResNet, ConvNeXt and Swin."""
