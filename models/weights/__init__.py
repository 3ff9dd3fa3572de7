"""Conversion of weights from and to timm, torchvision and the official releases."""

from models.weights.convert import check_weights, convert_state_dict, export_state_dict

__all__ = ["check_weights", "convert_state_dict", "export_state_dict"]
