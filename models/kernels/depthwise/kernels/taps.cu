// The filters as the other kernels read them: in float32, neighboring channels beside each other.
//
// Defined before this text: C (channels) and K (kernel); TYPE is that of the filters.

// weight (C, 1, K, K) and bias (C), or none, into taps (K * K + 1, C), the bias last. `flipped` turns
// a filter half round, as the input gradient wants it.
KERNEL pack(const Scalar* weight, const Scalar* bias, float* taps, int has_bias, int flipped) {
  const int thread = (int)THREAD;
  if (thread >= (K * K + 1) * C) return;
  const int channel = thread % C, tap = thread / C;
  if (tap == K * K)
    taps[thread] = has_bias ? widened(bias[channel]) : 0.f;
  else
    taps[thread] = widened(weight[channel * K * K + (flipped ? K * K - 1 - tap : tap)]);
}
