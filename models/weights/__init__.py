"""Weights from and to timm, torchvision and the official releases, wrapped checkpoints too."""

from models.weights.convert import check_weights, convert_state_dict, export_state_dict

__all__ = ["check_weights", "convert_state_dict", "export_state_dict"]
