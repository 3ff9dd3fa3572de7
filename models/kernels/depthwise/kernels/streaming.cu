// Depthwise convolution of NHWC tensors at stride 1: forward (which is also the input gradient, with
// flipped taps) and weight gradient, for kernels whose taps fit into registers.
//
// A thread processes one channel of a strip of TW columns, row by row. It holds the whole filter (or
// its gradient) and K rows of sums (or of the output's gradient), so each input is loaded once and
// used for K * TW products. The next row is loaded while the current one is processed.
//
// Macros: C (channels; makes addresses constants), K (kernel size), TW (columns per thread) and WIDE
// (1 if filters are float32 while tensors are not).

#if WIDE
typedef float Tap;
DEVICE float widened(float value) { return value; }
#else
typedef Scalar Tap;
#endif

enum { SPAN = TW + K - 1 };  // input columns under TW outputs

struct Strip {
  int channel, column, first, end;  // output rows [first, end)
  long long picture;
};

// Threads are numbered by channel, then strip, then segment of rows, then image.
DEVICE Strip strip_of(long long index, int channel, int out_height, int out_width, int segment) {
  const int across = (out_width + TW - 1) / TW, segments = (out_height + segment - 1) / segment;
  Strip strip;
  strip.channel = channel;
  strip.column = (int)(index % across) * TW;
  strip.first = (int)(index / across % segments) * segment;
  strip.end = strip.first + segment < out_height ? strip.first + segment : out_height;
  strip.picture = index / across / segments;
  return strip;
}

// One bit for each of COUNT columns from `left` that lies in [0, width).
template <int COUNT>
DEVICE unsigned columns_within(int left, int width) {
  unsigned columns = 0;
  UNROLL for (int j = 0; j < COUNT; ++j)
    if (left + j >= 0 && left + j < width) columns |= 1u << j;
  return columns;
}

// Loads the columns of a row that are in `columns`; the others are zero. There are no branches, so
// that the loads can be issued long before the values are needed.
template <int COUNT>
DEVICE void load(Loaded (&values)[COUNT], const Scalar* row, unsigned columns) {
  UNROLL for (int j = 0; j < COUNT; ++j) {
    values[j] = 0;
    if (columns >> j & 1) values[j] = loaded(row + j * C);
  }
}

DEVICE void store(Scalar* row, const float (&values)[TW], unsigned columns) {
  UNROLL for (int tx = 0; tx < TW; ++tx)
    if (columns >> tx & 1) row[tx * C] = narrowed(values[tx]);
}

// Reads the filter of `channel` from weight (C, K * K), rotated by 180 degrees if `flipped`. Adjacent
// threads need adjacent filters, so a block first copies its filters to shared memory, in order; all
// its threads must call this.
DEVICE void read_taps(float (&taps)[K][K], const Tap* weight, int channel, int flipped) {
#ifdef __CUDACC_RTC__
  __shared__ float filters[THREADS * K * K];
  const int first = (int)((THREAD - threadIdx.x) % C) * K * K;
  UNROLL for (int part = 0; part < K * K; ++part) {
    const int i = part * THREADS + threadIdx.x;
    filters[i] = widened(weight[(first + i) % (C * K * K)]);
  }
  __syncthreads();
  const float* filter = filters + threadIdx.x * K * K;  // K * K is odd: no bank conflicts
#else
  float filter[K * K];
  for (int i = 0; i < K * K; ++i) filter[i] = widened(weight[channel * K * K + i]);
#endif
  const float* first_tap = filter + (flipped ? K * K - 1 : 0);
  const int step = flipped ? -1 : 1;
  UNROLL for (int ky = 0; ky < K; ++ky)
    UNROLL for (int kx = 0; kx < K; ++kx) taps[ky][kx] = first_tap[(ky * K + kx) * step];
}

// x (n, height, width, C), weight (C, K, K), bias (C) if `has_bias`, y (n, out_height, out_width, C).
// `pad` is at most K - 1. A thread computes up to `segment` rows of a strip. With flipped filters and
// `pad` K - 1 minus the convolution's padding, this is the input gradient.
KERNEL convolve_strips(const Scalar* x, const Tap* weight, const Tap* biases, Scalar* y, int n,
                       int height, int width, int out_height, int out_width, int pad, int segment,
                       int has_bias, int flipped) {
  const long long thread = THREAD;
  const Strip strip = strip_of(thread / C, (int)(thread % C), out_height, out_width, segment);
  float taps[K][K];
  read_taps(taps, weight, strip.channel, flipped);
  if (strip.picture >= n) return;
  const float bias = has_bias ? widened(biases[strip.channel]) : 0.f;

  const int left = strip.column - pad;
  const unsigned inside = columns_within<SPAN>(left, width);
  const unsigned outside = columns_within<TW>(strip.column, out_width);
  int row = strip.first > pad ? strip.first - pad : 0;
  const int last = strip.end - pad + K - 1, end = last < height ? last : height;
  const Scalar* source = x + ((strip.picture * height + row) * width + left) * C + strip.channel;
  int out_row = row + pad - (K - 1);
  Scalar* target =
      y + ((strip.picture * out_height + out_row) * out_width + strip.column) * C + strip.channel;

  float sums[K][TW];  // for output rows from `out_row`
  UNROLL for (int i = 0; i < K; ++i)
    UNROLL for (int tx = 0; tx < TW; ++tx) sums[i][tx] = bias;
  Loaded next[SPAN];
  load(next, source, inside);
  KEEP_LOOP for (; row < end; ++row) {
    float span[SPAN];
    UNROLL for (int j = 0; j < SPAN; ++j) span[j] = widened(next[j]);
    source += width * C;
    load(next, source, row + 1 < end ? inside : 0);
    UNROLL for (int ky = 0; ky < K; ++ky)
      UNROLL for (int kx = 0; kx < K; ++kx)
        UNROLL for (int tx = 0; tx < TW; ++tx)
          sums[K - 1 - ky][tx] += span[tx + kx] * taps[ky][kx];
    store(target, sums[0], out_row >= strip.first ? outside : 0);
    UNROLL for (int tx = 0; tx < TW; ++tx) {
      UNROLL for (int i = 1; i < K; ++i) sums[i - 1][tx] = sums[i][tx];
      sums[K - 1][tx] = bias;
    }
    target += out_width * C;
    ++out_row;
  }
  // The remaining rows at the bottom have had all their inputs.
  UNROLL for (int i = 0; i < K - 1; ++i) {
    const bool there = out_row >= strip.first && out_row < strip.end;
    store(target, sums[i], there ? outside : 0);
    target += out_width * C;
    ++out_row;
  }
}

// Adds a strip's contribution to the gradients of the filter and of the bias (`total`).
DEVICE void gather(float (&sums)[K][K], float& total, const Scalar* x, const Scalar* dy, Strip strip,
                   int height, int width, int out_height, int out_width, int pad) {
  const int left = strip.column - pad;
  const unsigned inside = columns_within<SPAN>(left, width);
  const unsigned outside = columns_within<TW>(strip.column, out_width);
  int row = strip.first > pad ? strip.first - pad : 0;
  const int last = strip.end - pad + K - 1, end = last < height ? last : height;
  const Scalar* source = x + ((strip.picture * height + row) * width + left) * C + strip.channel;
  int out_row = row + pad;
  const Scalar* gradient =
      dy + ((strip.picture * out_height + out_row) * out_width + strip.column) * C + strip.channel;

  float window[K][TW];  // of the gradient: row `ky` belongs to kernel row `ky` at input `row`
  UNROLL for (int ky = 1; ky < K; ++ky) {
    Loaded values[TW];
    const bool there = out_row - ky >= strip.first && out_row - ky < strip.end;
    load(values, gradient - (long long)ky * out_width * C, there ? outside : 0);
    UNROLL for (int tx = 0; tx < TW; ++tx) {
      window[ky - 1][tx] = widened(values[tx]);
      total += window[ky - 1][tx];
    }
  }
  Loaded next[SPAN], next_gradient[TW];
  load(next, source, inside);
  load(next_gradient, gradient, out_row < strip.end ? outside : 0);
  KEEP_LOOP for (; row < end; ++row) {
    float span[SPAN];
    UNROLL for (int j = 0; j < SPAN; ++j) span[j] = widened(next[j]);
    UNROLL for (int tx = 0; tx < TW; ++tx) {
      UNROLL for (int ky = K - 1; ky > 0; --ky) window[ky][tx] = window[ky - 1][tx];
      window[0][tx] = widened(next_gradient[tx]);
      total += window[0][tx];
    }
    source += width * C;
    gradient += out_width * C;
    ++out_row;
    const bool more = row + 1 < end;
    load(next, source, more ? inside : 0);
    load(next_gradient, gradient, more && out_row < strip.end ? outside : 0);
    UNROLL for (int ky = 0; ky < K; ++ky)
      UNROLL for (int kx = 0; kx < K; ++kx)
        UNROLL for (int tx = 0; tx < TW; ++tx) sums[ky][kx] += span[tx + kx] * window[ky][tx];
  }
}

// Partial sums over positions: `partial` (splits, K * K + 1, C); the last row is the bias. A thread
// processes every `splits`-th strip of up to `segment` rows. `pad` is at most K - 1.
KERNEL gather_strips(const Scalar* x, const Scalar* dy, float* partial, int n, int height, int width,
                     int out_height, int out_width, int pad, int segment, int splits) {
  const long long thread = THREAD;
  if (thread >= (long long)splits * C) return;
  const int channel = (int)(thread % C), split = (int)(thread / C);

  float sums[K][K], total = 0.f;
  UNROLL for (int ky = 0; ky < K; ++ky)
    UNROLL for (int kx = 0; kx < K; ++kx) sums[ky][kx] = 0.f;
  KEEP_LOOP for (long long index = split;; index += splits) {
    const Strip strip = strip_of(index, channel, out_height, out_width, segment);
    if (strip.picture >= n) break;
    gather(sums, total, x, dy, strip, height, width, out_height, out_width, pad);
  }

  float* out = partial + (long long)split * (K * K + 1) * C + channel;
  UNROLL for (int ky = 0; ky < K; ++ky)
    UNROLL for (int kx = 0; kx < K; ++kx) out[(ky * K + kx) * C] = sums[ky][kx];
  out[K * K * C] = total;
}
