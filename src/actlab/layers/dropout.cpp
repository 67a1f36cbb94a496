// Dropout in one pass: y = x * scale where the drawn 16 bits are at least `cut`, else 0. See dropout.py, which says what is drawn and
// does the same, to the last bit, where there is no compiler.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-loop-vectorize")  // torch's compiler, which writes vectors itself, asks gcc not to
#endif
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

constexpr int64_t BLOCK = 1024;  // elements whose bits are drawn together; a multiple of four

struct Half16 { uint16_t bits; };  // bfloat16

inline float wide(float x) { return x; }
inline double wide(double x) { return x; }
inline float wide(Half16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}
inline void put(float* y, float x) { *y = x; }
inline void put(double* y, double x) { *y = x; }
inline void put(Half16* y, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
  y->bits = uint16_t(nan ? 0x7fc0u : rounded);
}

template <typename T, typename W>
void apply(const T* x, T* y, int64_t count, uint64_t seed, int64_t least, W scale) {
  const uint16_t cut = uint16_t(least);
  const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for if (count > 65536)
  for (int64_t block = 0; block < blocks; ++block) {
    uint64_t drawn[BLOCK / 4];
    for (int64_t i = 0; i < BLOCK / 4; ++i) {  // splitmix64 of the number of the element's group of four
      uint64_t z = seed + uint64_t(block * (BLOCK / 4) + i + 1) * 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      drawn[i] = z ^ (z >> 31);
    }
    uint16_t parts[BLOCK];
    std::memcpy(parts, drawn, sizeof drawn);
    const int64_t begin = block * BLOCK, here = std::min(BLOCK, count - begin);
    for (int64_t i = 0; i < here; ++i) {
      const W value = parts[i] >= cut ? W(wide(x[begin + i]) * scale) : W(0);
      put(y + begin + i, value);
    }
  }
}

}  // namespace

extern "C" void actlab_dropout_float32(const float* x, float* y, int64_t count, uint64_t seed, int64_t cut, double scale) {
  apply(x, y, count, seed, cut, float(scale));
}
extern "C" void actlab_dropout_float64(const double* x, double* y, int64_t count, uint64_t seed, int64_t cut, double scale) {
  apply(x, y, count, seed, cut, scale);
}
extern "C" void actlab_dropout_bfloat16(const void* x, void* y, int64_t count, uint64_t seed, int64_t cut, double scale) {
  apply(static_cast<const Half16*>(x), static_cast<Half16*>(y), count, seed, cut, float(scale));
}
