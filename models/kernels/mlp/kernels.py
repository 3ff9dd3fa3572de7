"""Matrix products with GELU, its derivative or a residual sum in their epilogue (Triton, Hopper).

One or two programs per multiprocessor compute one tile of the output after the other; with two, one
multiplies while the other is in its epilogue. Tensors come and go through the tensor memory
accelerator, which also leaves out what lies outside.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["M", "N", "K"])
def linear_gelu_kernel(
    x,  # (M, K)
    weight,  # (N, K)
    bias,  # (N,)
    activated,  # (M, N): GELU of the product
    slope,  # (M, N): derivative of GELU there
    M,
    N,
    K,
    WITH_SLOPE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    across = tl.cdiv(N, COLUMNS)
    for tile in tl.range(tl.program_id(0), tl.cdiv(M, ROWS) * across, PROGRAMS, flatten=True):
        row = (tile // across) * ROWS
        column = (tile % across) * COLUMNS
        left, right = _product(x, weight, row, column, K, True, ROWS, COLUMNS, STEP)
        _activate(left, bias, activated, slope, row, column, N, WITH_SLOPE)
        _activate(right, bias, activated, slope, row, column + COLUMNS // 2, N, WITH_SLOPE)


@triton.jit(do_not_specialize=["M", "N", "K"])
def linear_add_kernel(
    x,  # (M, K)
    weight,  # (N, K)
    bias,  # (N,)
    gamma,  # (N,): factors of the product with its bias
    shortcut,  # (M, N): added to them
    out,  # (M, N)
    M,
    N,
    K,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    across = tl.cdiv(N, COLUMNS)
    for tile in tl.range(tl.program_id(0), tl.cdiv(M, ROWS) * across, PROGRAMS, flatten=True):
        row = (tile // across) * ROWS
        column = (tile % across) * COLUMNS
        left, right = _product(x, weight, row, column, K, True, ROWS, COLUMNS, STEP)
        _add(left, bias, gamma, shortcut, out, row, column, N, SCALED)
        _add(right, bias, gamma, shortcut, out, row, column + COLUMNS // 2, N, SCALED)


@triton.jit(do_not_specialize=["M", "N", "K"])
def gelu_gradient_kernel(
    gradient,  # (M, K): of the second linear layer's output
    weight,  # (K, N): of the second linear layer
    slope,  # (M, N)
    hidden,  # (M, N): gradient of the first linear layer's output
    sums,  # (tiles of rows, N): sums of ``hidden`` over the rows of a tile
    M,
    N,
    K,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    across = tl.cdiv(N, COLUMNS)
    for tile in tl.range(tl.program_id(0), tl.cdiv(M, ROWS) * across, PROGRAMS, flatten=True):
        row = (tile // across) * ROWS
        column = (tile % across) * COLUMNS
        left, right = _product(gradient, weight, row, column, K, False, ROWS, COLUMNS, STEP)
        sums_of_tile = sums + (tile // across) * N
        _multiply(left, slope, hidden, sums_of_tile, row, column, N)
        _multiply(right, slope, hidden, sums_of_tile, row, column + COLUMNS // 2, N)


@triton.jit
def _product(
    x,  # (M, K)
    weight,  # (N, K) if it is TRANSPOSED, else (K, N)
    row,
    column,
    K,
    TRANSPOSED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
):
    """Return a tile of the product as its left and right half, which take less shared memory."""
    out = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for step in range(tl.cdiv(K, STEP)):
        if TRANSPOSED:
            weights = weight.load([column, step * STEP]).T
        else:
            weights = weight.load([step * STEP, column])
        out = tl.dot(x.load([row, step * STEP]), weights, out)
    return tl.split(tl.permute(tl.reshape(out, (ROWS, 2, COLUMNS // 2)), (0, 2, 1)))


@triton.jit
def _activate(out, bias, activated, slope, row, column, N, WITH_SLOPE: tl.constexpr):
    columns = column + tl.arange(0, out.shape[1])
    N = tl.multiple_of(N, 8)
    out += tl.load(bias + columns, mask=columns < N, other=0.0).to(tl.float32)[None, :]
    values, slopes = _gelu(out)
    activated.store([row, column], values.to(activated.dtype))
    if WITH_SLOPE:
        slope.store([row, column], slopes.to(slope.dtype))


@triton.jit
def _add(product, bias, gamma, shortcut, out, row, column, N, SCALED: tl.constexpr):
    columns = column + tl.arange(0, product.shape[1])
    N = tl.multiple_of(N, 8)
    product += tl.load(bias + columns, mask=columns < N, other=0.0).to(tl.float32)[None, :]
    if SCALED:
        product *= tl.load(gamma + columns, mask=columns < N, other=0.0).to(tl.float32)[None, :]
    product += shortcut.load([row, column]).to(tl.float32)
    out.store([row, column], product.to(out.dtype))


@triton.jit
def _multiply(out, slope, hidden, sums, row, column, N):
    columns = column + tl.arange(0, out.shape[1])
    N = tl.multiple_of(N, 8)
    out *= slope.load([row, column]).to(tl.float32)  # 0 outside
    hidden.store([row, column], out.to(hidden.dtype))
    tl.store(sums + columns, tl.sum(out, axis=0), mask=columns < N)


@triton.jit
def _gelu(x):
    """Return GELU, x times the normal distribution function, and its derivative.

    Below -|x|, that function is exp(-x²/2) times a polynomial in 1 / (1 + c |x|), fitted here with
    a relative error of 1e-6. The derivative has the same exponential; ``tl.erf`` takes longer.
    """
    bell = tl.exp2(-0.72134752044 * x * x)
    root = tl.rsqrt(1.0 + 0.26870057685 * tl.abs(x))
    t = root * root  # a division takes ten instructions
    tail = -0.0625220522
    tail = tail * t + 0.167299036
    tail = tail * t - 0.0338398859
    tail = tail * t + 0.123025706
    tail = tail * t + 0.090681325
    tail = tail * t + 0.108204377
    tail = (tail * t + 0.107150988) * t * bell
    below = tl.where(x > 0, 1.0 - tail, tail)
    return x * below, below + 0.3989422804 * x * bell
