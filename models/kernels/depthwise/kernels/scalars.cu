// The common beginning of all kernels: compilation and scalar types.
//
// A thread keeps its sums in registers, and neighbors share reads through the caches; shared memory
// only serves to read filters. Tests without a GPU can therefore compile the same text for a CPU,
// which runs one thread after another.
//
// Macros: TYPE (0 float, 1 bfloat16, 2 half) and THREADS (per block).

#ifdef __CUDACC_RTC__
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)
#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define KEEP_LOOP _Pragma("unroll 1")
#define THREAD ((long long)blockIdx.x * blockDim.x + threadIdx.x)
#else
#define KERNEL extern "C" void
#define DEVICE static inline
#define UNROLL
#define KEEP_LOOP
static long long the_thread;
#define THREAD the_thread
#endif

#if TYPE == 0
typedef float Scalar;
DEVICE float widened(Scalar value) { return value; }
DEVICE Scalar narrowed(float value) { return value; }
#else
typedef unsigned short Scalar;
#if TYPE == 1
DEVICE float widened(Scalar value) {
  union { unsigned bits; float value; } both;
  both.bits = (unsigned)value << 16;
  return both.value;
}
DEVICE Scalar narrowed(float value) {
#ifdef __CUDACC_RTC__
  Scalar result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
  return result;
#else
  union { unsigned bits; float value; } both;
  both.value = value;
  return (Scalar)((both.bits + 0x7fff + (both.bits >> 16 & 1)) >> 16);
#endif
}
#else
#ifdef __CUDACC_RTC__
DEVICE float widened(Scalar value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value));
  return result;
}
DEVICE Scalar narrowed(float value) {
  Scalar result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
  return result;
}
#else
DEVICE float widened(Scalar value) {
  union { Scalar bits; _Float16 value; } both;
  both.bits = value;
  return (float)both.value;
}
DEVICE Scalar narrowed(float value) {
  union { Scalar bits; _Float16 value; } both;
  both.value = (_Float16)value;
  return both.bits;
}
#endif
#endif
#endif

// Values loaded but not used yet. Each has its own register: packing two 16-bit variables into one
// would wait for the load at once.
#if TYPE == 0
typedef float Loaded;
#else
typedef unsigned Loaded;
DEVICE float widened(Loaded value) { return widened((Scalar)value); }
#endif
DEVICE Loaded loaded(const Scalar* source) {
#if defined(__CUDACC_RTC__) && TYPE != 0
  Loaded result;
  asm("{ .reg .b16 half; ld.global.nc.b16 half, [%1]; cvt.u32.u16 %0, half; }"
      : "=r"(result)
      : "l"(source));
  return result;
#else
  return *source;
#endif
}
