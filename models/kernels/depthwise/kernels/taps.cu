// Packs the filters for the tiled kernels (float32, channels last), and unpacks their gradients.
//
// Macros: C (channels), K (kernel size) and TYPE (of the filters).

// Packs weight (C, 1, K, K) and bias (C), if any, into taps (K * K + 1, C), the bias last. `flipped`
// rotates the filters by 180 degrees, for the input gradient.
KERNEL pack(const Scalar* weight, const Scalar* bias, float* taps, int has_bias, int flipped) {
  const int thread = (int)THREAD;
  if (thread >= (K * K + 1) * C) return;
  const int channel = thread % C, tap = thread / C;
  if (tap == K * K)
    taps[thread] = has_bias ? widened(bias[channel]) : 0.f;
  else
    taps[thread] = widened(weight[channel * K * K + (flipped ? K * K - 1 - tap : tap)]);
}

// Sums partial (splits, K * K + 1, C), with the bias last, over its splits: into weight (C, 1, K, K)
// and bias (C).
KERNEL unpack(const float* partial, float* weight, float* bias, int splits) {
  const int thread = (int)THREAD;
  if (thread >= (K * K + 1) * C) return;
  const int channel = thread % C, tap = thread / C;
  float sum = 0.f;
  for (int split = 0; split < splits; ++split)
    sum += partial[(long long)split * (K * K + 1) * C + thread];
  if (tap == K * K)
    bias[channel] = sum;
  else
    weight[channel * K * K + tap] = sum;
}
