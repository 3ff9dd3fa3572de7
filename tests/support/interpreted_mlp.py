"""Run the Triton kernels of ``models.kernels.mlp`` in Triton's interpreter, on a CPU.

A program of its own, since Triton reads TRITON_INTERPRET when it is imported. Prints the largest
relative error of each output against float64, a line per triple of sizes. bfloat16 is left to GPUs:
the interpreter multiplies its bits as integers.
"""

import json
import sys

import torch
import torch.nn.functional as F
from depthwise import error

from models.kernels.mlp import launch


def main(rows: int, inputs: int, outputs: int) -> None:
    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float16)

    torch.manual_seed(0)
    x, weight, bias = drawn(rows, inputs), drawn(outputs, inputs) / 3, drawn(outputs)
    activated, slope = (x.new_empty(rows, outputs) for _ in range(2))
    launch.linear_gelu(x, weight, bias, activated, slope)
    out = F.linear(x.double(), weight.double(), bias.double()).requires_grad_()
    exact = F.gelu(out)
    (slopes,) = torch.autograd.grad(exact.sum(), out)

    gradient, back = drawn(rows, inputs), drawn(inputs, outputs) / 3
    hidden, sums = launch.gelu_gradient(gradient, back, slope)
    exact_hidden = gradient.double() @ back.double() * slope.double()
    factors, shortcut = drawn(outputs), drawn(rows, outputs)
    summed = [launch.linear_add(x, weight, bias, gamma, shortcut) for gamma in (factors, None)]
    product, start = out.detach(), shortcut.double()
    errors = {
        "scaled and summed": error(summed[0], start + factors.double() * product),
        "summed": error(summed[1], start + product),
        "activated": error(activated, exact.detach()),
        "slope": error(slope, slopes),
        "hidden": error(hidden, exact_hidden),
        "sums": error(sums.sum(0), exact_hidden.sum(0)),
    }
    print(json.dumps(errors))


if __name__ == "__main__":
    for sizes in sys.argv[1:]:
        main(*map(int, sizes.split(",")))
