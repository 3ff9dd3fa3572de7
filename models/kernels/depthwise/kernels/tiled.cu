// Depthwise convolution of NHWC tensors: forward, input gradient and weight gradient, for any kernel
// size and stride. A thread computes a tile of outputs and reads the filter row by row.
//
// Macros: C (channels; makes addresses constants), K (kernel size), S (stride), TH and TW (outputs per
// thread), V (channels per thread, 1 or 2) and ROWS (kernel rows per thread in the weight gradient).

// V neighboring channels, read and written at once; their address is a multiple of V scalars.
struct alignas(V * sizeof(Scalar)) Pack {
  Scalar value[V];
};
struct alignas(V * sizeof(float)) Wide {
  float value[V];
};

DEVICE Wide load(const Scalar* source) {
  Wide wide;
#if TYPE == 1 && V == 2
  // A bfloat16 is the upper half of its float, so each takes one instruction.
  const unsigned bits = *reinterpret_cast<const unsigned*>(source);
  union { unsigned bits[2]; Wide wide; } both;
  both.bits[0] = bits << 16;
  both.bits[1] = bits & 0xffff0000u;
  wide = both.wide;
#else
  const Pack pack = *reinterpret_cast<const Pack*>(source);
  UNROLL for (int v = 0; v < V; ++v) wide.value[v] = widened(pack.value[v]);
#endif
  return wide;
}

DEVICE void store(Scalar* target, const float* values) {
  Pack pack;
  UNROLL for (int v = 0; v < V; ++v) pack.value[v] = narrowed(values[v]);
  *reinterpret_cast<Pack*>(target) = pack;
}

enum { SPAN = (TW - 1) * S + K };  // input columns under TW outputs

// `row` points to column `first`; columns outside [0, width) are zero.
template <bool INSIDE>
DEVICE void load_span(Wide* span, const Scalar* row, int first, int width) {
  UNROLL for (int j = 0; j < SPAN; ++j) {
    const int column = first + j;
    if (INSIDE || (column >= 0 && column < width)) {
      span[j] = load(row + j * C);
    } else {
      UNROLL for (int v = 0; v < V; ++v) span[j].value[v] = 0.f;
    }
  }
}

// `image` points to row `top` and column `left` of an image, possibly outside it.
template <bool INSIDE>
DEVICE void accumulate(float (&sums)[TH][TW][V], const Scalar* image, const float* weight, int top,
                       int left, int height, int width) {
  KEEP_LOOP for (int ky = 0; ky < K; ++ky) {
    Wide taps[K];
    UNROLL for (int kx = 0; kx < K; ++kx)
      taps[kx] = *reinterpret_cast<const Wide*>(weight + kx * C);
    UNROLL for (int ty = 0; ty < TH; ++ty) {
      const int y = top + ty * S + ky;
      if (y < 0 || y >= height) continue;
      Wide span[SPAN];
      load_span<INSIDE>(span, image + (ty * S + ky) * width * C, left, width);
      UNROLL for (int kx = 0; kx < K; ++kx)
        UNROLL for (int tx = 0; tx < TW; ++tx)
          UNROLL for (int v = 0; v < V; ++v)
            sums[ty][tx][v] += span[tx * S + kx].value[v] * taps[kx].value[v];
    }
    weight += K * C;
  }
}

// x (n, height, width, C), weight (K * K + 1, C) with the bias last, y (n, out_height, out_width, C).
// A thread computes TH x TW outputs of V channels. With flipped taps, stride 1 and `pad` K - 1 minus
// the convolution's padding, this is the input gradient.
KERNEL convolve_tiles(const Scalar* x, const float* weight, Scalar* y, int n, int height, int width,
                int out_height, int out_width, int pad) {
  const int groups = C / V;
  const int across = (out_width + TW - 1) / TW, down = (out_height + TH - 1) / TH;
  const long long thread = THREAD;
  if (thread >= (long long)n * down * across * groups) return;
  const int channel = (int)(thread % groups) * V;
  long long tile = thread / groups;
  const int tile_x = (int)(tile % across) * TW;
  tile /= across;
  const int tile_y = (int)(tile % down) * TH;
  const long long picture = tile / down;

  float sums[TH][TW][V];
  UNROLL for (int ty = 0; ty < TH; ++ty)
    UNROLL for (int tx = 0; tx < TW; ++tx)
      UNROLL for (int v = 0; v < V; ++v) sums[ty][tx][v] = weight[K * K * C + channel + v];

  const int top = tile_y * S - pad, left = tile_x * S - pad;
  const Scalar* image = x + ((picture * height + top) * width + left) * C + channel;
  if (left >= 0 && left + SPAN <= width)
    accumulate<true>(sums, image, weight + channel, top, left, height, width);
  else
    accumulate<false>(sums, image, weight + channel, top, left, height, width);

  Scalar* out = y + ((picture * out_height + tile_y) * out_width + tile_x) * C + channel;
  UNROLL for (int ty = 0; ty < TH; ++ty) {
    if (tile_y + ty >= out_height) break;
    UNROLL for (int tx = 0; tx < TW; ++tx)
      if (tile_x + tx < out_width) store(out + tx * C, sums[ty][tx]);
    out += out_width * C;
  }
}

// The input gradient dx (n, height, width, C) of dy for any stride, one position per thread.
KERNEL spread_positions(const Scalar* dy, const float* weight, Scalar* dx, int n, int height, int width,
                      int out_height, int out_width, int pad) {
  const int groups = C / V;
  const long long thread = THREAD;
  if (thread >= (long long)n * height * width * groups) return;
  const int channel = (int)(thread % groups) * V;
  long long place = thread / groups;
  const int x = (int)(place % width) + pad;
  place /= width;
  const int y = (int)(place % height) + pad;
  const Scalar* gradient = dy + place / height * out_height * out_width * C + channel;

  float sums[V];
  UNROLL for (int v = 0; v < V; ++v) sums[v] = 0.f;
  for (int ky = y % S; ky < K; ky += S) {
    const int oy = (y - ky) / S;
    if (ky > y || oy >= out_height) continue;
    for (int kx = x % S; kx < K; kx += S) {
      const int ox = (x - kx) / S;
      if (kx > x || ox >= out_width) continue;
      const Wide value = load(gradient + ((long long)oy * out_width + ox) * C);
      const float* tap = weight + (ky * K + kx) * C + channel;
      UNROLL for (int v = 0; v < V; ++v) sums[v] += value.value[v] * tap[v];
    }
  }
  store(dx + thread / groups * C + channel, sums);
}

template <bool INSIDE>
DEVICE void gather(float (&sums)[ROWS][K][V], const Wide* gradient, const Scalar* image, int first_row,
                   int top, int left, int height, int width) {
  UNROLL for (int row = 0; row < ROWS; ++row) {
    const int y = top + row;
    if ((K % ROWS && first_row + row >= K) || y < 0 || y >= height) continue;
    Wide span[SPAN];
    load_span<INSIDE>(span, image + row * width * C, left, width);
    UNROLL for (int kx = 0; kx < K; ++kx)
      UNROLL for (int tx = 0; tx < TW; ++tx)
        UNROLL for (int v = 0; v < V; ++v)
          sums[row][kx][v] += span[tx * S + kx].value[v] * gradient[tx].value[v];
  }
}

// Partial sums over positions: `partial` (splits, K * K + 1, C); the last row is the bias. A thread
// processes every `splits`-th strip of TW positions for ROWS rows of the kernel.
KERNEL gather_tiles(const Scalar* x, const Scalar* dy, float* partial, int n, int height, int width,
                       int out_height, int out_width, int pad, int splits) {
  const int groups = C / V, parts = (K + ROWS - 1) / ROWS;
  const long long thread = THREAD;
  if (thread >= (long long)splits * parts * groups) return;
  const int channel = (int)(thread % groups) * V;
  const int first_row = (int)(thread / groups % parts) * ROWS;
  const int split = (int)(thread / groups / parts);
  const int across = (out_width + TW - 1) / TW;
  const long long strips = (long long)n * out_height * across;

  float sums[ROWS][K][V], total[V];
  UNROLL for (int v = 0; v < V; ++v) total[v] = 0.f;
  UNROLL for (int row = 0; row < ROWS; ++row)
    UNROLL for (int kx = 0; kx < K; ++kx)
      UNROLL for (int v = 0; v < V; ++v) sums[row][kx][v] = 0.f;

  KEEP_LOOP for (long long strip = split; strip < strips; strip += splits) {
    const int out_x = (int)(strip % across) * TW;
    const int out_y = (int)(strip / across % out_height);
    const long long picture = strip / across / out_height;
    const Scalar* row = dy + ((picture * out_height + out_y) * out_width + out_x) * C + channel;
    Wide gradient[TW];
    UNROLL for (int tx = 0; tx < TW; ++tx) {
      if (out_x + tx < out_width) {
        gradient[tx] = load(row + tx * C);
      } else {
        UNROLL for (int v = 0; v < V; ++v) gradient[tx].value[v] = 0.f;
      }
      UNROLL for (int v = 0; v < V; ++v) total[v] += gradient[tx].value[v];
    }
    const int top = out_y * S - pad + first_row, left = out_x * S - pad;
    const Scalar* image = x + ((picture * height + top) * width + left) * C + channel;
    if (left >= 0 && left + SPAN <= width)
      gather<true>(sums, gradient, image, first_row, top, left, height, width);
    else
      gather<false>(sums, gradient, image, first_row, top, left, height, width);
  }

  float* out = partial + (long long)split * (K * K + 1) * C + channel;
  UNROLL for (int row = 0; row < ROWS; ++row)
    UNROLL for (int kx = 0; kx < K; ++kx)
      if (first_row + row < K)
        UNROLL for (int v = 0; v < V; ++v)
          out[((first_row + row) * K + kx) * C + v] = sums[row][kx][v];
  if (first_row == 0)
    UNROLL for (int v = 0; v < V; ++v) out[K * K * C + v] = total[v];
}
